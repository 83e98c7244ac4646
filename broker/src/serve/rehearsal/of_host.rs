//! What could hold up, hide or forbid a fence on this host, whichever node it is about.

use super::super::case::{Case, Work};
use super::{Finding, Findings, Places};
use crate::host;
use crate::journal::Journal;
use crate::lock::Lock;
use crate::recorder::Recorder;
use xen_fence_protocol::Level;

/// One of them. Whether syslog is read is itself on record.
type Check<'a> = Box<dyn FnOnce(&mut Recorder) -> Finding + 'a>;

/// Tries each in turn, and tells it; `holds` is what reading the holds came to.
pub(super) fn of_host(
    case: &mut Case<'_, '_>,
    work: &Work<'_>,
    places: &Places,
    holds: Result<(), String>,
    findings: &mut Findings,
) {
    let (journals, run) = (case.house.journals, case.house.run);
    let file = journals.join(format!("{}.jsonl", work.cluster));
    let (journals, run) = (journals.to_owned(), run.to_owned());
    let checks: [Check<'_>; 7] = [
        Box::new(move |_| {
            let room = format!(
                "`df -h {0}` and `ls -ld {0}` show why; make room there (its oldest files, \
                 {1}.N, may be moved away), or mount it writable",
                journals.display(),
                file.file_name().unwrap_or_default().to_string_lossy()
            );
            let taken = Journal::at(file).probe().and_then(|()| host::has_room(&journals));
            outcome("journal", Level::Warn, taken, "it can be written", |why| {
                let text = format!("{why}; a fence works, and only syslog has its record");
                (text, places.on_dom0(&room))
            })
        }),
        Box::new(move |_| {
            outcome("holds", Level::Warn, holds, "they can be read", |why| {
                let mend = format!("xen-fence-admin holds {} says what is wrong", work.cluster);
                (why, places.on_dom0(&mend))
            })
        }),
        Box::new(|_| {
            let path = work.lock_path();
            let lock = Lock::probe(&path).map_err(|error| format!("{}: {error}", path.display()));
            outcome("lock", Level::Fail, lock, "it can be taken", |why| {
                let text = format!("{why}; no fence works without the cluster's lock");
                (text, places.on_dom0(&run_is_roots(work)))
            })
        }),
        Box::new(move |_| {
            let state = host::takes_a_file(&run, &format!("{}.probe", work.cluster));
            outcome("state", Level::Warn, state, "it can be written", |why| {
                let text = format!("{why}; a fence works, and a repeated request may kill twice");
                (text, places.on_dom0(&run_is_roots(work)))
            })
        }),
        Box::new(|_| {
            outcome("starts", Level::Warn, work.starts().probe(), "they can be planned", |why| {
                let text = format!("{why}; a reset would end as an off");
                (text, places.on_dom0(&run_is_roots(work)))
            })
        }),
        Box::new(|recorder| {
            outcome("syslog", Level::Warn, recorder.probe_syslog(), "it is read", |why| {
                let text = format!(
                    "{why}; a login through the host's own sshd can hang on that, one through the \
                     dedicated sshd does not"
                );
                (text, places.on_dom0("systemctl restart rsyslog, or whatever reads /dev/log"))
            })
        }),
        Box::new(|_| {
            let known = host::own_name_is_in_hosts();
            outcome("host-name", Level::Warn, known, "it is in /etc/hosts", |why| {
                let text =
                    format!("{why}; sudo may ask DNS for it, and wait 20 s when DNS is silent");
                (text, places.on_dom0("echo \"127.0.1.1 $(hostname)\" >>/etc/hosts"))
            })
        }),
    ];
    for check in checks {
        let finding = check(&mut case.recorder);
        findings.tell(case, finding);
    }
}

fn run_is_roots(work: &Work<'_>) -> String {
    let lock = work.lock_path();
    let dir = lock.parent().unwrap_or(&lock).display().to_string();
    format!("`ls -ld {dir}` has to show a directory of root's, `df {dir}` room in it")
}

fn outcome(
    step: &'static str,
    level: Level,
    result: Result<(), String>,
    good: &str,
    bad: impl Fn(String) -> (String, String),
) -> Finding {
    match result {
        Ok(()) => Finding::new(Level::Ok, step, good),
        Err(why) => {
            let (text, hint) = bad(why);
            Finding::new(level, step, text).hint(&hint)
        }
    }
}
