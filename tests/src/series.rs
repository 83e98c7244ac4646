//! Figures: what was measured round by round, and how it is printed.

use serde_json::Value;

/// How long one thing took, in milliseconds, a round each.
#[derive(Debug)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// The rounds.
    pub millis: Vec<f64>,
}

impl Series {
    /// One without rounds.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), millis: Vec::new() }
    }

    /// What this share of the rounds did not exceed.
    #[must_use]
    pub fn at(&self, share: f64) -> f64 {
        let mut sorted = self.millis.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index of a short list"
        )]
        let index = (last as f64 * share).round() as usize;
        sorted.get(index).copied().unwrap_or(f64::NAN)
    }

    /// The one in the middle.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.at(0.5)
    }
}

/// Prints those that are wanted, a line each.
pub fn table(title: &str, series: &[Series], wanted: impl Fn(&str) -> bool) {
    if !title.is_empty() {
        println!("{title}");
    }
    println!("{:>9} {:>9} {:>9} {:>9}", "median ms", "min", "p90", "max");
    for one in series.iter().filter(|one| wanted(&one.name)) {
        let name = one.name.trim_start_matches("agent: ");
        let [median, min, p90, max] = [0.5, 0.0, 0.9, 1.0].map(|share| one.at(share));
        println!("{median:>9.1} {min:>9.1} {p90:>9.1} {max:>9.1}  {name}");
    }
}

/// The steps in the broker's outcomes, each by its own length.
#[must_use]
pub fn broker(journal: &[Value]) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    let mut gap = Series::new("(from go to the start of xl destroy: promise 6)");
    for record in journal {
        let off = record["event"] == "outcome" && record["action"] == "off";
        let mut since_go = None;
        for step in record["steps"].as_array().into_iter().flatten().filter(|_| off) {
            let name = step["step"].as_str().unwrap_or_default();
            let millis = step["us"].as_f64().unwrap_or_default() / 1000.0;
            since_go = since_go.map(|so_far| so_far + millis);
            match (name, since_go) {
                ("go", _) => since_go = Some(0.0),
                ("aimed", Some(since_go)) => gap.millis.push(since_go),
                _ => {}
            }
            let position = series.iter().position(|one| one.name == name);
            let position = position.unwrap_or_else(|| {
                series.push(Series::new(name));
                series.len() - 1
            });
            series[position].millis.push(millis);
        }
    }
    series.push(gap);
    series
}
