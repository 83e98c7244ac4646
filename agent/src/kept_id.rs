//! The id of a request, kept in a file until its answer has been heard: a retry by a new process is
//! then the same request to dom0, and joins the first kill instead of repeating it (promise 4).
//!
//! One file for each node and action, `NODE.ACTION`, locked while its process lives; a second
//! process that asks the same at the same time takes `NODE.ACTION.2`. Nothing here ever stops a
//! fence: without its file a request goes on under a fresh id, and `-v` says what that costs.

mod dir;
#[cfg(test)]
mod tests;

use crate::clock::Moment;
use crate::error::Error;
use crate::power_on::fresh_id;
use dir::{Dir, Slot};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xen_fence_protocol::{Action, NodeName, RequestId};

/// How long an id whose answer was never heard is used again. Two attempts of a cluster fit in;
/// past it a node that has booted meanwhile may well have to be killed once more.
const USED_AGAIN: Duration = Duration::from_secs(120);

/// So many processes can ask the same at once and keep their ids apart.
const SLOTS: usize = 16;

const ROOTS_DIR: &str = "/run/xen-fence-agent";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The first field of a file: its form.
const FORM: &str = "xen-fence-id/1";

/// An id, and the file that keeps it.
#[derive(Debug)]
pub(crate) struct KeptId {
    id: RequestId,
    /// How often `go` may have been heard under this id, and what came of it was not: by an earlier
    /// process, or by this one.
    unheard: u32,
    /// An earlier process has asked under it.
    inherited: bool,
    slot: Option<Slot>,
    /// What `-v` says of it.
    word: Option<String>,
}

impl KeptId {
    /// The id to ask with: one whose answer an earlier process never heard, else a fresh one.
    ///
    /// # Errors
    /// The kernel gives no random numbers.
    pub(crate) fn take(node: &NodeName, action: Action) -> Result<Self, Error> {
        let is_root = nix::unistd::geteuid().is_root();
        let place = place(is_root, std::env::var_os("XDG_RUNTIME_DIR"));
        let place = place.and_then(|path| Ok((path, boot()?)));
        let (path, boot) = match place {
            Ok(place) => place,
            Err(why) => return Self::unkept(&why),
        };
        Self::take_in(&path, &boot, Moment::now(), node, action)
    }

    fn take_in(
        path: &Path,
        boot: &str,
        now: Moment,
        node: &NodeName,
        action: Action,
    ) -> Result<Self, Error> {
        let dir = match Dir::open(path) {
            Ok(dir) => dir,
            Err(why) => return Self::unkept(&why),
        };
        let names: Vec<String> = (1..=SLOTS).map(|number| name(node, action, number)).collect();
        // Those that were left come before a free place: the retry of the second of two processes
        // finds its id in the second file.
        for name in &names {
            let Some(mut slot) = dir.left_behind(name) else { continue };
            match slot.read().and_then(|text| read(&text, boot, now)) {
                Some(id) => {
                    let word = format!(
                        "asking again as {id}, whose answer an earlier process never heard"
                    );
                    let (slot, word) = (Some(slot), Some(word));
                    return Ok(Self { id, unheard: 1, inherited: true, slot, word });
                }
                None => slot.remove(),
            }
        }
        let id = fresh_id()?;
        let mut why = format!("{SLOTS} processes ask the same already");
        for name in &names {
            match dir.new_slot(name) {
                Ok(None) => {}
                Ok(Some(mut slot)) => match slot.write(&written(boot, now, id)) {
                    Ok(()) => {
                        return Ok(Self { slot: Some(slot), ..Self::of(id) });
                    }
                    Err(error) => {
                        slot.remove();
                        why = error;
                        break;
                    }
                },
                Err(error) => {
                    why = error;
                    break;
                }
            }
        }
        Self::unkept(&why)
    }

    /// An id that needs no keeping, because to repeat its request does no harm.
    pub(crate) const fn of(id: RequestId) -> Self {
        Self { id, unheard: 0, inherited: false, slot: None, word: None }
    }

    fn unkept(why: &str) -> Result<Self, Error> {
        let word = format!(
            "the request's id is not kept: {why}; if this process dies before it has its answer, \
             another may kill again"
        );
        Ok(Self { word: Some(word), ..Self::of(fresh_id()?) })
    }

    /// The id.
    pub(crate) const fn id(&self) -> RequestId {
        self.id
    }

    /// What the curious want to know of it.
    pub(crate) fn word(&self) -> Option<&str> {
        self.word.as_deref()
    }

    /// `go` is about to be said.
    pub(crate) fn going(&mut self) {
        self.unheard = self.unheard.saturating_add(1);
    }

    /// The last `go` was refused: it had nothing done.
    pub(crate) fn not_gone(&mut self) {
        self.unheard = self.unheard.saturating_sub(1);
    }

    /// Whether something may have been done that nobody has told of.
    pub(crate) const fn is_unheard(&self) -> bool {
        self.unheard > 0
    }

    /// Whether an earlier process may have had something done that nobody has told of.
    pub(crate) const fn is_unheard_of_before(&self) -> bool {
        self.inherited && self.is_unheard()
    }

    /// What became of the request was heard, whatever it is: the next one is a new one.
    pub(crate) fn answered(&mut self) {
        self.unheard = 0;
        if let Some(slot) = self.slot.take() {
            slot.remove();
        }
    }

    /// This process ends. If certainly nothing was touched under its id, the next one is a new one.
    pub(crate) fn untouched(&mut self) {
        if !self.is_unheard() {
            self.answered();
        }
    }
}

/// Where ids are kept: by root in one place, by others where the session keeps what is theirs.
fn place(is_root: bool, runtime_dir: Option<OsString>) -> Result<PathBuf, String> {
    if is_root {
        return Ok(ROOTS_DIR.into());
    }
    match runtime_dir.map(PathBuf::from) {
        Some(dir) if dir.is_absolute() => Ok(dir.join("xen-fence")),
        Some(_) => Err("XDG_RUNTIME_DIR is no absolute path".to_owned()),
        None => Err("XDG_RUNTIME_DIR names no directory, and only root has one".to_owned()),
    }
}

/// This boot of the machine: the clock begins anew with each.
fn boot() -> Result<String, String> {
    let text = fs::read_to_string(BOOT_ID)
        .map_err(|error| format!("{BOOT_ID}: {}", crate::secure_file::reason(&error)))?;
    Ok(text.trim().to_owned())
}

/// A node's name may hold dots and end like an action; read from its end, this still has one
/// meaning.
fn name(node: &NodeName, action: Action, number: usize) -> String {
    let first = format!("{}.{action}", node.lower());
    if number == 1 { first } else { format!("{first}.{number}") }
}

fn written(boot: &str, now: Moment, id: RequestId) -> String {
    format!("{FORM} {boot} {} {id}\n", now.millis())
}

/// The id in a file, if it may still be used: written whole, in this boot, no longer ago than that.
fn read(text: &str, boot: &str, now: Moment) -> Option<RequestId> {
    let mut fields = text.strip_suffix('\n')?.split(' ');
    let mut field = || fields.next();
    let (form, of, at, id) = (field()?, field()?, field()?, field()?);
    let at = at.parse().ok().filter(|_| form == FORM && of == boot && field().is_none())?;
    let age = Duration::from_millis(now.millis().checked_sub(at)?);
    if age <= USED_AGAIN { RequestId::parse(id).ok() } else { None }
}
