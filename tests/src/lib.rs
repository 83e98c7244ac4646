//! What the tests of xen-fence are made of: a stand-in hypervisor whose domains really live and
//! die, a throwaway dom0 in which the installed product runs, and a lab with the real hypervisor.

mod error;
pub mod lab;
pub mod noise;
mod running;
pub mod series;
pub mod stand_in;
pub mod throwaway;

pub use error::{Error, Result};
pub use running::{Output, Running};

/// Prints a figure that is wanted of a run that passes, too: past the test harness's capture of output.
pub fn measured(line: &str) {
    use std::io::Write;
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Says loudly that a case was skipped because this machine lacks something, past the test
/// harness's capture of output; tests/all repeats it at the end.
pub fn skipped(case: &str, lacks: &str) {
    use std::io::Write;
    let line = format!("SKIPPED {case}: {lacks}");
    measured(&line);
    if let Some(path) = std::env::var_os("XEN_FENCE_TESTS_SKIPPED") {
        let file = std::fs::File::options().append(true).create(true).open(path);
        let _ = file.and_then(|mut file| writeln!(file, "{line}"));
    }
}
