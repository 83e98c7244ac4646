//! What a fence through the whole chain costs beside the bare kill, on real Xen: both in the same
//! boot, in turns, so that whatever else the machine does falls on both alike. Compare the ratios. The bare kill is
//! timed by dom0's clock, the fence by the clock of the machine outside, where its agent runs.

use super::{Lab, Result};
use crate::error::{Doing, Error};
use crate::series::{Series, broker, table};
use std::time::Instant;

impl Lab {
    /// How long a command takes in dom0, by its own clock, in milliseconds.
    fn milliseconds(&self, command: &str) -> Result<f64> {
        let script =
            format!("began=$EPOCHREALTIME; {command} >/dev/null && echo $began $EPOCHREALTIME");
        let output = self.sh(&script).succeeded()?;
        let times: Vec<f64> =
            output.stdout.split_whitespace().filter_map(|time| time.parse().ok()).collect();
        match times.as_slice() {
            [began, ended] => Ok((ended - began) * 1000.0),
            _ => Err(Error::new(format!("no two times: {}", output.stdout))),
        }
    }

    fn start_again(&self) -> Result<()> {
        self.blank("node2");
        self.sh(&format!("xl create {}", self.node("node2").config())).succeeded()?;
        self.counts("node2");
        Ok(())
    }
}

/// Measures so many rounds of each, and prints what came of them.
///
/// # Errors
/// If a round does not end as it has to.
pub fn figures(lab: &Lab, rounds: usize) -> Result<()> {
    println!("{rounds} rounds of each in the same boot, in turns; this machine's milliseconds:");
    let mut listing = Series::new("xl list -v");
    let mut bare = Series::new("xl destroy, in dom0");
    let mut chain = Series::new("xen-fence off node2, its death proven");
    for _ in 0..rounds {
        listing.millis.push(lab.milliseconds("xl list -v")?);
        bare.millis.push(lab.milliseconds("xl destroy alpha-node2")?);
        lab.start_again()?;
        let began = Instant::now();
        let off = lab.ask("node1", &["off", "node2"]).wait();
        chain.millis.push(began.elapsed().as_secs_f64() * 1000.0);
        off.succeeded().doing("fence node2")?;
        lab.start_again()?;
    }
    let steps = broker(&lab.journal());
    lab.note_calls_of_xl()?;
    let _ = lab.ask("node1", &["off", "node2"]).wait().succeeded()?;
    let calls = lab.calls_of_xl();
    let listings = calls.iter().filter(|call| call.starts_with("list")).count();
    let after = calls.iter().rev().take_while(|call| call.starts_with("list")).count();

    let series = [listing, bare, chain];
    table("", &series, |_| true);
    table("\nWhere the broker's time goes (from its records):", &steps, |_| true);
    let [listing, bare, chain] = series.map(|one| one.median());
    let more = chain - bare;
    #[expect(clippy::cast_precision_loss, reason = "a handful of listings")]
    let listed = listings as f64 * listing;
    println!(
        "\nA proven fence takes {:.2} times the bare kill. Of the {more:.0} ms more, {listed:.0} ms \
         are {listings} listings,\n{after} of them after the kill; the rest, {:.0} ms, is the login, \
         sudo, the lock and the journal.",
        chain / bare,
        more - listed
    );
    Ok(())
}
