//! agent.toml: the line that names the dom0s, where nobody has written one.

use super::{Enrolled, files};
use crate::config::Enrolment;
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use crate::secure_file::reason;

/// Writes the line, or says what a person has to write.
pub(super) fn write(
    enrolment: &Enrolment,
    dry_run: bool,
    enrolled: &mut Enrolled,
) -> Result<(), Error> {
    let (shown, dom0s) = (enrolment.file.display().to_string(), &enrolment.settings.dom0s);
    let line = line(dom0s);
    let Some(before) = &enrolment.text else {
        let text = format!(
            "# What `xen-fence` uses; agent/agent.toml of the project has every setting.\n{line}"
        );
        if !dry_run {
            written(enrolment, &text)?;
        }
        enrolled.does(dry_run, "wrote", &format!("{shown}: {}", line.trim_end()));
        return Ok(());
    };
    if let Some(theirs) = &enrolment.dom0s_on_file {
        let missing: Vec<Endpoint> =
            dom0s.iter().filter(|dom0| !theirs.contains(dom0)).cloned().collect();
        if missing.is_empty() {
            enrolled.done.push(format!("{shown} names the dom0s, and stays"));
        } else {
            let names: Vec<String> = missing.iter().map(|dom0| format!("\"{dom0}\"")).collect();
            let names = names.join(", ");
            enrolled.warnings.push(format!(
                "{shown} does not name {names}, and is not changed: a fence asks that dom0 only if \
                 you add it to `dom0` there"
            ));
        }
        return Ok(());
    }
    // Before any table.
    let text = format!("{line}{before}");
    if !enrolment.is_sound(&text) {
        enrolled.warnings.push(format!("{shown} is not changed: add to it: {}", line.trim_end()));
        return Ok(());
    }
    if !dry_run {
        written(enrolment, &text)?;
    }
    enrolled.does(dry_run, "added", &format!("to {shown}: {}", line.trim_end()));
    Ok(())
}

fn line(dom0s: &[Endpoint]) -> String {
    let names: Vec<String> = dom0s.iter().map(|dom0| format!("\"{dom0}\"")).collect();
    format!("dom0 = [{}]\n", names.join(", "))
}

fn written(enrolment: &Enrolment, text: &str) -> Result<(), Error> {
    let file = &enrolment.file;
    let fail = |why: &str| {
        Error::new(Kind::Config, format!("{} cannot be written: {why}", file.display()))
            .hint("run as root")
    };
    let done = files::directory_of(file).and_then(|()| match &enrolment.text {
        Some(_) => files::replace(file, text).map(|()| true),
        None => files::create(file, text, 0o644),
    });
    match done {
        Ok(true) => Ok(()),
        Ok(false) => Err(fail("somebody has just made it")),
        Err(error) => Err(fail(&reason(&error))),
    }
}
