//! Tokens as brokers write and read them: real files and processes.

use super::*;
use crate::clock::{BootClock, Moment};
use crate::processes::ProcFs;
use crate::target::tests::node;
use crate::toolstack::Xl;
use std::cell::Cell;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use tempfile::TempDir;

fn starts() -> (TempDir, Starts) {
    let dir = tempfile::tempdir().unwrap();
    let starts = Starts::of(dir.path().join("starts"), ClusterName::parse("alpha").unwrap());
    (dir, starts)
}

fn id(bits: u128) -> RequestId {
    RequestId::from_bits(bits)
}

/// What there is of a node: a plan, one that has begun, one of this request that has begun.
fn seen(starts: &Starts, request: u128) -> (bool, bool, bool) {
    let node = node();
    let cut_short = starts.was_cut_short(&node, &id(request).to_string());
    let begun = begun(starts).unwrap();
    assert_eq!(
        starts.has_plan_for(&node, &ProcFs),
        !starts.planned(&node, &ProcFs).unwrap().is_empty()
    );
    (starts.has_plan_for(&node, &ProcFs), !begun.is_empty(), cut_short)
}

fn on_host<T>(work: impl FnOnce(&Host<'_>) -> T) -> T {
    let toolstack = Xl::at("/nowhere/xl".into());
    work(&Host { toolstack: &toolstack, processes: &ProcFs, clock: &BootClock })
}

fn call_off(starts: &Starts) -> Result<bool, String> {
    on_host(|host| starts.call_off(&node(), host))
}

fn begun(starts: &Starts) -> std::io::Result<Vec<String>> {
    on_host(|host| starts.begun(&node(), host))
}

fn has_orphan(starts: &Starts) -> std::io::Result<bool> {
    on_host(|host| starts.has_orphan_for(&node(), host))
}

/// A clock on which waiting takes no time.
struct Quick(Cell<Duration>);

impl Clock for Quick {
    fn now(&self) -> Moment {
        Moment::since_boot(self.0.get())
    }

    fn sleep(&self, duration: Duration) {
        self.0.set(self.0.get().saturating_add(duration));
    }
}

/// Between its last look and its create nobody calls a power-on off, and nobody proves a death meanwhile.
#[test]
fn who_is_in_the_gate_is_waited_for() {
    let (_dir, starts) = starts();
    let planned = starts.plan(&node(), id(1)).unwrap();
    let toolstack = Xl::at("/nowhere/xl".into());
    let clock = Quick(Cell::new(Duration::ZERO));
    let host = Host { toolstack: &toolstack, processes: &ProcFs, clock: &clock };
    let inside = planned.gate(&clock).unwrap();
    let why = starts.call_off(&node(), &host).unwrap_err();
    assert!(why.contains("another broker holds it") && !planned.is_called_off(), "{why}");
    assert!(clock.now() >= Moment::since_boot(GATE));
    drop(inside);
    assert_eq!(starts.call_off(&node(), &host), Ok(true));
    assert!(planned.is_called_off());
}

/// A session's leader that waits, as the toolstack's create may.
struct Leader(Child);

impl Leader {
    fn new() -> Self {
        Self(Command::new("sleep").arg("60").process_group(0).spawn().unwrap())
    }

    fn named(&self) -> (i32, u64) {
        let pid = i32::try_from(self.0.id()).unwrap();
        (pid, start_of(pid).unwrap())
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

#[test]
fn a_plan_is_seen_until_it_goes_and_begins_once() {
    let (_dir, starts) = starts();
    assert_eq!(seen(&starts, 1), (false, false, false));
    let planned = starts.plan(&node(), id(1)).unwrap();
    assert_eq!(seen(&starts, 1), (true, false, false));
    assert!(!planned.is_called_off() && starts.has_any_for(&node()));
    assert_eq!(planned.begun_ms(), None);
    planned.begins(&BootClock);
    assert_eq!(seen(&starts, 1), (true, true, true));
    assert_eq!(begun(&starts).unwrap(), [id(1).to_string()]);
    assert!(planned.begun_ms().is_some_and(|at| at <= BootClock.now().millis()));
    assert_eq!(seen(&starts, 2), (true, true, false), "by another request");
    drop(planned);
    assert_eq!(seen(&starts, 1), (false, false, false));
}

/// The token stays; nothing but the toolstack's own session goes on.
#[test]
fn what_a_killed_broker_has_left_is_a_plan_only_while_its_create_lives() {
    let (_dir, starts) = starts();
    let planned = starts.plan(&node(), id(1)).unwrap();
    let dead = |begun: bool, leader| {
        let begun_ms = begun.then_some(1);
        let token = Token { broker: (i32::MAX, 1), begun_ms, unit: None, leader };
        token.write(&planned.token).unwrap();
    };
    dead(false, None);
    assert_eq!(seen(&starts, 1), (false, false, false));
    dead(true, None);
    assert_eq!(seen(&starts, 1), (false, false, true));
    let leader = Leader::new();
    dead(true, Some(leader.named()));
    assert_eq!(seen(&starts, 1), (true, true, true));
    let (pid, started) = leader.named();
    dead(true, Some((pid, started + 1)));
    assert_eq!(seen(&starts, 1), (false, false, true), "another process has its number");
}

/// systemd may be about to begin what it was asked for.
#[test]
fn what_a_killed_broker_has_asked_systemd_for_may_be_yet_to_begin() {
    let (_dir, starts) = starts();
    let planned = starts.plan(&node(), id(1)).unwrap();
    planned.is_carried_out_by(Some("x.service".to_owned()), None).unwrap();
    assert_eq!(Token::read(&planned.token).unit.as_deref(), Some("x.service"));
    assert!(!has_orphan(&starts).unwrap(), "its broker tells");
    let unit = Some("x.service".to_owned());
    let left =
        |begun_ms| Token { broker: (i32::MAX, 1), begun_ms, unit: unit.clone(), leader: None };
    let now = BootClock.now().millis();
    let limit = u64::try_from(POWER_ON.as_millis()).unwrap();
    for (begun_ms, may) in [
        (None, true),
        (Some(now), true),
        (Some(now.saturating_sub(limit - 5_000)), true),
        // Of an hour ago: it has been begun or never will be.
        (now.checked_sub(limit + 1), false),
    ] {
        left(begun_ms).write(&planned.token).unwrap();
        assert!(begun_ms.is_none() && !may || has_orphan(&starts).unwrap() == may, "{begun_ms:?}");
    }
}

/// Systemd was asked first, fell silent, and may still begin it when the broker has done so itself.
#[test]
fn a_unit_that_was_asked_for_stays_known_beside_a_create_without_it() {
    let (_dir, starts) = starts();
    let planned = starts.plan(&node(), id(1)).unwrap();
    planned.begins(&BootClock);
    planned.is_carried_out_by(Some("xen-fence-no-such.service".to_owned()), None).unwrap();
    planned.is_carried_out_by(None, Some((i32::MAX, 1))).unwrap();
    assert!(!has_orphan(&starts).unwrap(), "its broker is there");
    let limit = u64::try_from(RESET_IS_NEW.as_millis()).unwrap();
    let begun_ms = BootClock.now().millis().checked_sub(limit + 1_000);
    Token { begun_ms, ..Token::read(&planned.token) }.write(&planned.token).unwrap();
    assert_eq!(begun(&starts).unwrap(), [id(1).to_string()], "the broker has begun it itself");
    let gone = Token { broker: (i32::MAX, 1), ..Token::read(&planned.token) };
    gone.write(&planned.token).unwrap();
    assert!(has_orphan(&starts).unwrap());
}

/// Its broker waits on for a systemd that tells nothing, beside a node that may run.
#[test]
fn a_unit_of_which_systemd_tells_nothing_goes_on_for_ten_seconds() {
    let (_dir, starts) = starts();
    let planned = starts.plan(&node(), id(1)).unwrap();
    planned.is_carried_out_by(Some("xen-fence-no-such.service".to_owned()), None).unwrap();
    planned.begins(&BootClock);
    assert_eq!(begun(&starts).unwrap(), [id(1).to_string()]);
    let earlier = |by: Duration| {
        let by = u64::try_from(by.as_millis()).unwrap();
        let begun_ms = BootClock.now().millis().checked_sub(by).unwrap();
        Token { begun_ms: Some(begun_ms), ..Token::read(&planned.token) }
            .write(&planned.token)
            .unwrap();
    };
    earlier(RESET_IS_NEW - Duration::from_secs(1));
    assert_eq!(begun(&starts).unwrap(), [id(1).to_string()]);
    earlier(RESET_IS_NEW + Duration::from_secs(1));
    assert_eq!(begun(&starts).unwrap(), [] as [String; 0]);
    assert!(starts.has_plan_for(&node(), &ProcFs), "an `off` calls it off all the same");
}

#[test]
fn a_plan_that_goes_leaves_that_of_a_retry_alone() {
    let (_dir, starts) = starts();
    let planned = starts.plan(&node(), id(1)).unwrap();
    let retry = Token { broker: (i32::MAX, 1), ..Token::default() };
    retry.write(&planned.token).unwrap();
    drop(planned);
    assert!(starts.has_any_for(&node()));
}

#[test]
fn who_calls_off_takes_the_token_away_and_kills_what_carries_it_out() {
    let (_dir, starts) = starts();
    assert_eq!(call_off(&starts), Ok(false));
    let planned = starts.plan(&node(), id(1)).unwrap();
    let mut leader = Leader::new();
    planned.is_carried_out_by(None, Some(leader.named())).unwrap();
    fs::write(planned.output(), "what xl said").unwrap();
    assert_eq!(call_off(&starts), Ok(true));
    assert!(planned.is_called_off());
    assert!(!leader.0.wait().unwrap().success(), "the create went on");
    assert!(!planned.output().exists());
    assert_eq!(seen(&starts, 1), (false, false, false));
    assert_eq!(call_off(&starts), Ok(false));
}

#[test]
fn a_token_that_cannot_be_taken_away_stops_the_proof_and_a_file_beside_one_does_not() {
    let (_dir, starts) = starts();
    let planned = starts.plan(&node(), id(1)).unwrap();
    let (token, output) = (planned.token.clone(), planned.output());
    drop(planned);
    fs::write(&output, "what xl said").unwrap();
    assert!(!starts.has_any_for(&node()));
    assert_eq!(call_off(&starts), Ok(false));
    assert!(!output.exists());
    fs::create_dir(&token).unwrap();
    assert!(starts.has_any_for(&node()));
    assert!(call_off(&starts).unwrap_err().contains(&token.display().to_string()));
}

#[test]
fn other_nodes_plans_are_let_alone() {
    let (_dir, starts) = starts();
    let planned = starts.plan(&node(), id(1)).unwrap();
    let name = planned.token.file_name().unwrap().to_str().unwrap().replace("node2", "node22");
    let other = planned.token.with_file_name(name);
    fs::copy(&planned.token, &other).unwrap();
    assert_eq!(call_off(&starts), Ok(true));
    assert!(other.exists());
}

#[test]
fn where_no_token_can_be_written_nothing_is_planned() {
    let (dir, starts) = starts();
    assert_eq!(starts.probe(), Ok(()));
    fs::remove_dir(dir.path().join("starts")).unwrap();
    fs::write(dir.path().join("starts"), "").unwrap();
    let path = dir.path().join("starts").display().to_string();
    assert!(starts.probe().unwrap_err().contains(&path));
    assert!(starts.plan(&node(), id(1)).unwrap_err().contains(&path));
    // Nor can anybody know that there is none, or whose it is.
    assert!(starts.has_plan_for(&node(), &ProcFs));
    assert!(starts.planned(&node(), &ProcFs).is_err() && begun(&starts).is_err());
    assert!(has_orphan(&starts).is_err());
    assert!(starts.has_any_for(&node()));
    assert!(call_off(&starts).unwrap_err().contains(&path));
}

#[test]
fn files_beside_tokens_of_nodes_with_dots_are_told_apart() {
    let of = |node: &str| beside(Path::new(&format!("/run/alpha={node}=0c0ffee")), ".out");
    assert_ne!(of("web.a"), of("web.b"));
    assert_eq!(of("web.a"), Path::new("/run/alpha=web.a=0c0ffee.out"));
}
