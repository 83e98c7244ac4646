//! What the stand-in does otherwise than the recordings of real Xen 4.17 show, and why it may.

/// One step's difference.
pub struct Known {
    pub step: &'static str,
    /// The differing lines: `-` on real Xen, `+` in the stand-in.
    pub text: &'static str,
    /// Why it is left so.
    #[expect(dead_code, reason = "it is there to be read by people")]
    pub why: &'static str,
}

/// For a step that has nothing in common with its recording.
pub const ANYTHING: &str = "*";

/// Groups that are not run, with the steps of each.
pub const NOT_RUN: &[(&str, &[&str])] = &[
    // Times are not compared.
    ("times", &["00-times"]),
];

pub const KNOWN: &[Known] = &[];
