//! What syslog says of the journals: for each record a line with its number and the head of the chain.
//!
//! Whoever has root on dom0 can write a journal anew, chain and all; what syslog has sent to another host
//! by then he cannot. So the best source is a file from there.

use super::ASIDE;
use super::lines::Lines;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use xen_fence_broker::journal::{Anchor, TAG, open_to_read};
use xen_fence_broker::names::ClusterName;

/// Where syslog daemons put lines of the facility authpriv, on Debian and on Red Hat.
const LOGS: [&str; 8] = [
    "/var/log/auth.log.1",
    "/var/log/auth.log",
    "/var/log/secure.1",
    "/var/log/secure",
    "/var/log/syslog.1",
    "/var/log/syslog",
    "/var/log/messages.1",
    "/var/log/messages",
];
const JOURNALCTL: &str = "/usr/bin/journalctl";
/// journalctl is not waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer lines are none of ours, whatever syslog puts before them.
const LONGEST: usize = 8 << 10;
/// So many records of a cluster are looked for; the latest, if there are more.
const MOST: usize = 200_000;
/// So many heads of one record are kept: two that differ tell enough.
const HEADS: usize = 8;

/// A line of syslog: the source's number, and the line's own in it.
type Place = (usize, u64);

/// What syslog says of one cluster's journal.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    /// The heads behind each record's number. There is more than one where a journal was begun anew, or
    /// rewritten by somebody who sent lines of his own.
    heads: BTreeMap<u64, Vec<(String, Place)>>,
    /// Records that the journal did not take: how many, and the first.
    pub(super) lost: Option<(u64, Place)>,
    /// How many heads are left out, because a journal that was set aside had them.
    pub(super) set_aside: u64,
}

/// What syslog says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// Nothing.
    Silent,
    /// The journal has it as syslog has.
    Same(Place),
    /// Syslog has another one under that number, with this head.
    Other(&'a str, Place),
    /// Syslog has this one and another one under that number, so it vouches for neither.
    Disputed,
}

/// A record of which syslog has two different heads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dispute<'a> {
    /// Its number.
    pub(super) n: u64,
    /// Two of the heads, and where.
    pub(super) heads: [(&'a str, Place); 2],
    /// How many later records are disputed, too.
    pub(super) more: usize,
}

impl Anchors {
    /// What is said of the record with this number, whose line has this hash.
    pub(super) fn of(&self, n: u64, hash: &str) -> Verdict<'_> {
        let Some(heads) = self.heads.get(&n) else { return Verdict::Silent };
        let same = heads.iter().find(|(head, _)| hash.starts_with(head.as_str()));
        match (same, heads.last()) {
            (Some(_), _) if heads.len() > 1 => Verdict::Disputed,
            (Some((_, place)), _) => Verdict::Same(*place),
            (None, Some((head, place))) => Verdict::Other(head, *place),
            (None, None) => Verdict::Silent,
        }
    }

    /// The last record that syslog has: its number, its head, and where.
    pub(super) fn last(&self) -> Option<(u64, &str, Place)> {
        let (n, heads) = self.heads.last_key_value()?;
        let (head, place) = heads.last()?;
        Some((*n, head, *place))
    }

    /// The first record of which syslog has two different heads.
    pub(super) fn dispute(&self) -> Option<Dispute<'_>> {
        let mut disputed = self.heads.iter().filter_map(|(n, heads)| match heads.as_slice() {
            [(one, here), (other, there), ..] => {
                Some((*n, [(one.as_str(), *here), (other.as_str(), *there)]))
            }
            _ => None,
        });
        let (n, heads) = disputed.next()?;
        Some(Dispute { n, heads, more: disputed.count() })
    }

    fn add(&mut self, anchor: Anchor, place: Place) {
        let Some((n, head)) = anchor.kept else {
            let (count, first) = self.lost.unwrap_or((0, place));
            self.lost = Some((count.saturating_add(1), first));
            return;
        };
        let heads = self.heads.entry(n).or_default();
        // The same line is in more than one file, and a relay may have cut it.
        let is_it = |known: &str| known.starts_with(&head) || head.starts_with(known);
        if let Some((known, _)) = heads.iter_mut().find(|(known, _)| is_it(known)) {
            if known.len() < head.len() {
                *known = head;
            }
        } else if heads.len() < HEADS {
            heads.push((head, place));
        }
        if self.heads.len() > MOST {
            self.heads.pop_first();
        }
    }

    /// Leaves out what was said of a record in a journal that was set aside.
    fn leave_out(&mut self, n: u64, head: &str) {
        let Some(heads) = self.heads.get_mut(&n) else { return };
        let before = heads.len();
        heads.retain(|(known, _)| known != head);
        let gone = u64::try_from(before.saturating_sub(heads.len())).unwrap_or(u64::MAX);
        self.set_aside = self.set_aside.saturating_add(gone);
        if heads.is_empty() {
            self.heads.remove(&n);
        }
    }
}

/// Everything that syslog says.
#[derive(Debug, Default)]
pub(crate) struct Syslog {
    sources: Vec<String>,
    clusters: BTreeMap<String, Anchors>,
    /// Lines of other dom0s, which have journals of their own.
    pub(super) of_others: u64,
    /// What could not be read, in sentences.
    pub(crate) faults: Vec<String>,
}

impl Syslog {
    /// Reads these files, of which `-` is standard input; without any, what this host has, but for what
    /// stands beside journals that were set aside.
    pub(super) fn read(files: &[PathBuf], dom0: &str) -> Self {
        let mut syslog = Self::default();
        for file in files {
            if file == Path::new("-") {
                syslog.source("standard input".to_owned(), std::io::stdin().lock(), dom0);
            } else {
                syslog.file(file, dom0);
            }
        }
        if files.is_empty() {
            for file in LOGS.map(Path::new).iter().filter(|file| fs::metadata(file).is_ok()) {
                syslog.file(file, dom0);
            }
            if syslog.clusters.is_empty() && Path::new(JOURNALCTL).exists() {
                syslog.journalctl(dom0);
            }
            syslog.leave_out(Path::new(ASIDE), dom0);
        }
        syslog
    }

    /// What it says of one cluster.
    pub(super) fn of(&self, cluster: &str) -> Option<&Anchors> {
        self.clusters.get(cluster)
    }

    /// The clusters of which it says something.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = &str> {
        self.clusters.keys().map(String::as_str)
    }

    /// A line of it, as a person finds it.
    pub(super) fn place(&self, (source, line): Place) -> String {
        format!("{}:{line}", self.sources.get(source).map_or("?", String::as_str))
    }

    /// What was read, for a person.
    pub(super) fn sources(&self) -> String {
        if self.sources.is_empty() { "no file".to_owned() } else { self.sources.join(", ") }
    }

    /// What a shell is given to set aside what it says of a cluster's journal, so that it is left out from
    /// then on; none where it says nothing.
    pub(crate) fn setting_aside(&self, cluster: &ClusterName) -> Option<String> {
        let _says_something = self.of(cluster.as_str())?.last()?;
        let pattern = format!("grep -ah 'cluster={cluster} dom0='");
        // Where a command had to be asked, the files say nothing.
        let lines = match self.sources.iter().find(|source| !source.starts_with('/')) {
            Some(command) => format!("{command} | {pattern}"),
            None => format!("{pattern} {}", self.sources.join(" ")),
        };
        Some(format!("{lines} >> {}", set_aside_at(Path::new(ASIDE), cluster).display()))
    }

    /// Leaves out what stands in this directory, beside journals that were set aside.
    fn leave_out(&mut self, dir: &Path, dom0: &str) {
        for (name, cluster) in &mut self.clusters {
            let Ok(name) = ClusterName::parse(name) else { continue };
            let path = set_aside_at(dir, &name);
            let left_out = open_to_read(&path).and_then(|file| {
                each_anchor(file, |anchor, _| {
                    if let Some((n, head)) = anchor.kept.filter(|_| anchor.dom0 == dom0) {
                        cluster.leave_out(n, &head);
                    }
                })
            });
            match left_out {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.faults.push(format!("{} cannot be read: {error}", path.display()));
                }
                Ok(()) | Err(_) => {}
            }
        }
    }

    fn file(&mut self, path: &Path, dom0: &str) {
        let name = path.display().to_string();
        // A pipe without another end would be waited for. What a link leads to is the reader's own.
        let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let regular = |file: File| match file.metadata() {
            Ok(found) if found.is_file() => Ok(file),
            Ok(_) => Err("it is not a regular file; pipe it in, with `--anchors -`".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match opened.map_err(|error| error.to_string()).and_then(regular) {
            Ok(file) => self.source(name, file, dom0),
            Err(why) => self.faults.push(format!("{name} cannot be read: {why}")),
        }
    }

    fn journalctl(&mut self, dom0: &str) {
        let name = format!("journalctl -t {TAG} _UID=0");
        // Only root's own lines: anybody can write to /dev/log, and journald knows who did.
        let child = Command::new(JOURNALCTL)
            .args(["--quiet", "--no-pager", "--output", "short-iso", "-t", TAG, "_UID=0"])
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => return self.faults.push(format!("{name} cannot be run: {error}")),
        };
        let Some(stdout) = child.stdout.take() else { return };
        let child = Arc::new(Mutex::new(child));
        let (done, end) = mpsc::channel::<()>();
        let watched = Arc::clone(&child);
        let watch = std::thread::Builder::new().spawn(move || {
            let late = end.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
            let mut child = watched.lock().unwrap_or_else(PoisonError::into_inner);
            // One that has ended already cannot be killed, and need not be.
            let _ended = if late { child.kill() } else { Ok(()) };
            late
        });
        let Ok(watch) = watch else {
            let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
            let _ended = child.kill().and_then(|()| child.wait());
            return self.faults.push(format!("{name} cannot be watched, and was not asked"));
        };
        self.source(name.clone(), stdout, dom0);
        drop(done);
        let late = watch.join().unwrap_or(true);
        let _status = child.lock().unwrap_or_else(PoisonError::into_inner).wait();
        if late {
            let seconds = PATIENCE.as_secs();
            self.faults
                .push(format!("{name} did not end within {seconds} s, and was not read whole"));
        }
    }

    /// Reads the lines of one source.
    fn source(&mut self, name: String, source: impl Read, dom0: &str) {
        let number = self.sources.len();
        let read = each_anchor(source, |anchor, line| {
            if anchor.dom0 == dom0 {
                let cluster = self.clusters.entry(anchor.cluster.clone()).or_default();
                cluster.add(anchor, (number, line));
            } else {
                self.of_others = self.of_others.saturating_add(1);
            }
        });
        if let Err(error) = read {
            self.faults.push(format!("{name} cannot be read on: {error}"));
        }
        self.sources.push(name);
    }
}

/// What syslog said of a cluster's journals that were set aside, beside them.
fn set_aside_at(dir: &Path, cluster: &ClusterName) -> PathBuf {
    dir.join(format!("{cluster}.syslog"))
}

/// Reads lines, and hands on those that are about a journal, with their numbers.
fn each_anchor(source: impl Read, mut found: impl FnMut(Anchor, u64)) -> io::Result<()> {
    let mut lines = Lines::of(source, LONGEST);
    let mut count = 0_u64;
    while let Some(line) = lines.next()? {
        count = count.saturating_add(1);
        // Our lines are ASCII, and shorter than the cap.
        let text = std::str::from_utf8(&line.bytes).ok().filter(|_| line.is_whole());
        if let Some(anchor) = text.and_then(Anchor::read) {
            found(anchor, count);
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A line as rsyslog writes it.
    pub(in super::super) fn said(cluster: &str, n: u64, head: &str) -> String {
        format!(
            "Nov 22 07:10:07 xen1 xen-fence-broker[7]: cluster={cluster} dom0=xen1 n={n} head={head} \
             event=answer text=x\n"
        )
    }

    /// A syslog of these lines.
    pub(in super::super) fn syslog(text: &str) -> Syslog {
        let mut syslog = Syslog::default();
        syslog.source("auth.log".to_owned(), text.as_bytes(), "xen1");
        syslog
    }

    const HEAD: &str = "aaaaaaaaaaaaaaaa";

    #[test]
    fn records_are_found_by_number_and_head() {
        let other = said("alpha", 3, "bbbbbbbbbbbbbbbb");
        let syslog =
            syslog(&format!("noise\n{}{}{other}", said("beta", 9, HEAD), said("alpha", 2, HEAD)));
        let alpha = syslog.of("alpha").unwrap();
        assert_eq!(alpha.of(2, &HEAD.repeat(4)), Verdict::Same((0, 3)));
        assert_eq!(alpha.of(3, &HEAD.repeat(4)), Verdict::Other("bbbbbbbbbbbbbbbb", (0, 4)));
        assert_eq!(alpha.of(1, HEAD), Verdict::Silent);
        assert_eq!(alpha.last().unwrap().0, 3);
        assert_eq!(syslog.place((0, 4)), "auth.log:4");
        assert_eq!(syslog.clusters().collect::<Vec<_>>(), ["alpha", "beta"]);
    }

    #[test]
    fn other_dom0s_are_left_out_and_what_the_journal_did_not_take_is_counted() {
        let text = said("alpha", 2, HEAD).replace("dom0=xen1", "dom0=xen2")
            + &said("alpha", 2, HEAD).replace(&format!("n=2 head={HEAD}"), "lost=\"NOT in it\"");
        let syslog = syslog(&text);
        assert_eq!(syslog.of_others, 1);
        let alpha = syslog.of("alpha").unwrap();
        assert_eq!((alpha.lost, alpha.last()), (Some((1, (0, 2))), None));
    }

    #[test]
    fn of_two_records_of_a_number_neither_is_vouched_for() {
        let other = "bbbbbbbbbbbbbbbb";
        let text = said("alpha", 1, HEAD)
            + &said("alpha", 2, HEAD)
            + &said("alpha", 2, other)
            + &said("alpha", 3, HEAD)
            + &said("alpha", 3, other);
        let syslog = syslog(&text);
        let alpha = syslog.of("alpha").unwrap();
        assert_eq!(alpha.of(1, &HEAD.repeat(4)), Verdict::Same((0, 1)));
        assert_eq!(alpha.of(2, &HEAD.repeat(4)), Verdict::Disputed);
        assert_eq!(alpha.of(2, &other.repeat(4)), Verdict::Disputed);
        assert_eq!(alpha.of(2, "cccccccccccccccc"), Verdict::Other(other, (0, 3)));
        let heads = [(HEAD, (0, 2)), (other, (0, 3))];
        assert_eq!(alpha.dispute(), Some(Dispute { n: 2, heads, more: 1 }));
    }

    #[test]
    fn a_line_that_was_cut_says_the_same() {
        let whole = HEAD.repeat(4);
        let syslog = syslog(&(said("alpha", 1, HEAD) + &said("alpha", 1, &whole)));
        let alpha = syslog.of("alpha").unwrap();
        assert_eq!((alpha.dispute(), alpha.last()), (None, Some((1, whole.as_str(), (0, 1)))));
        assert_eq!(alpha.of(1, &whole), Verdict::Same((0, 1)));
        assert_eq!(alpha.of(1, &HEAD.repeat(3)), Verdict::Other(&whole, (0, 1)));
    }

    #[test]
    fn many_heads_of_one_record_take_little_room() {
        let many = |n: u64| said("alpha", 1, &format!("{n:016x}"));
        let syslog = syslog(&(0..1000).map(many).collect::<String>());
        let alpha = syslog.of("alpha").unwrap();
        assert_eq!(alpha.heads[&1].len(), HEADS);
        assert!(alpha.dispute().is_some());
    }

    #[test]
    fn what_stands_beside_a_journal_that_was_set_aside_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (HEAD, "bbbbbbbbbbbbbbbb");
        let text = said("alpha", 1, old) + &said("alpha", 2, old);
        fs::write(dir.path().join("alpha.syslog"), &text).unwrap();
        let mut syslog = syslog(&(text + &said("alpha", 1, new) + &said("beta", 1, old)));
        syslog.leave_out(dir.path(), "xen1");
        let alpha = syslog.of("alpha").unwrap();
        assert_eq!((alpha.last(), alpha.dispute()), (Some((1, new, (0, 3))), None));
        assert_eq!(alpha.set_aside, 2);
        assert_eq!(syslog.of("beta").unwrap().last().unwrap().0, 1);
        // A line that is not there word for word stays.
        fs::write(dir.path().join("beta.syslog"), said("beta", 1, new)).unwrap();
        syslog.leave_out(dir.path(), "xen1");
        assert_eq!(syslog.of("beta").unwrap().last().unwrap().0, 1);
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("gamma.syslog")).unwrap();
        syslog.clusters.entry("gamma".to_owned()).or_default();
        syslog.leave_out(dir.path(), "xen1");
        assert_eq!(syslog.faults.len(), 1, "{syslog:?}");
    }

    #[test]
    fn what_is_no_file_is_said_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let syslog = Syslog::read(&[fifo, dir.path().join("none")], "xen1");
        assert_eq!(syslog.faults.len(), 2, "{syslog:?}");
        assert!(syslog.faults[0].contains("`--anchors -`"), "{syslog:?}");
        assert_eq!(syslog.sources(), "no file");
    }
}
