//! Which id a process asks with, after what became of the one before it.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

struct Place {
    _outer: tempfile::TempDir,
    dir: PathBuf,
}

impl Place {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("ids");
        Self { _outer: outer, dir }
    }

    fn at(&self, seconds: u64, boot: &str, node: &str, action: Action) -> KeptId {
        let now = Moment::of_millis(seconds * 1000);
        KeptId::take_in(&self.dir, boot, now, &NodeName::parse(node).unwrap(), action).unwrap()
    }

    fn take(&self) -> KeptId {
        self.at(1000, "boot", "node2", Action::Reset)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn only_an_id_without_an_answer_is_used_again() {
    let place = Place::new();
    let first = place.take();
    let id = first.id();
    assert!(first.word().is_none(), "there is nothing to say of it");
    assert_eq!(
        fs::metadata(place.dir.join("node2.reset")).unwrap().permissions().mode() & 0o777,
        0o600
    );
    drop(first); // The process dies.
    let mut second = place.take();
    assert_eq!(second.id(), id);
    assert!(second.word().unwrap().contains("asking again"));
    second.answered();
    assert!(place.names().is_empty());
    assert_ne!(place.take().id(), id);
}

#[test]
fn who_had_nothing_touched_leaves_what_an_earlier_process_may_have_done() {
    let place = Place::new();
    let mut first = place.take();
    first.untouched();
    assert!(place.names().is_empty());
    let second = place.take();
    let id = second.id();
    drop(second);
    let mut third = place.take();
    third.untouched();
    drop(third);
    let mut fourth = place.take();
    assert_eq!(fourth.id(), id, "the first of the two may have said go");
    fourth.going();
    fourth.not_gone();
    fourth.untouched();
    drop(fourth);
    let mut fifth = place.take();
    assert_eq!(fifth.id(), id, "its go was refused, which tells nothing of the first");
    fifth.answered();
    fifth.untouched();
    assert!(place.names().is_empty());
}

#[test]
fn a_go_whose_end_is_not_known_keeps_the_id() {
    let place = Place::new();
    let mut first = place.take();
    let id = first.id();
    first.going();
    first.untouched();
    assert!(first.is_unheard());
    drop(first);
    assert_eq!(place.take().id(), id);

    let place = Place::new();
    let mut refused = place.take();
    refused.going();
    refused.not_gone();
    assert!(!refused.is_unheard());
    refused.untouched();
    assert!(place.names().is_empty());
}

#[test]
fn nodes_and_actions_have_ids_of_their_own() {
    let place = Place::new();
    let ids = [("node2", Action::Reset), ("NODE2", Action::Off), ("node3", Action::Reset)]
        .map(|(node, action)| place.at(1000, "boot", node, action).id());
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    assert_eq!(place.names(), ["node2.off", "node2.reset", "node3.reset"]);
    assert_eq!(place.at(1000, "boot", "Node2", Action::Reset).id(), ids[0]);
}

#[test]
fn living_processes_never_share_an_id() {
    let place = Place::new();
    let (first, second, third) = (place.take(), place.take(), place.take());
    assert!(first.id() != second.id() && second.id() != third.id() && first.id() != third.id());
    assert_eq!(place.names(), ["node2.reset", "node2.reset.2", "node2.reset.3"]);
    // The second dies; its retry finds its id though the first place is taken, or free.
    let (id, mut first) = (second.id(), first);
    drop(second);
    first.answered();
    let again = place.take();
    assert_eq!(again.id(), id);
    assert_eq!(place.take().slot.unwrap().name(), "node2.reset");
}

#[test]
fn more_than_that_go_on_without() {
    let place = Place::new();
    let held: Vec<KeptId> = (0..SLOTS).map(|_| place.take()).collect();
    let one_more = place.take();
    assert!(one_more.word().unwrap().contains("16 processes"), "{one_more:?}");
    assert!(held.iter().all(|one| one.id() != one_more.id()));
}

#[test]
fn old_damaged_and_strange_files_are_ignored() {
    let id = RequestId::from_bits(7);
    let now = Moment::of_millis(1_000_000);
    let good = written("boot", now, id);
    assert_eq!(read(&good, "boot", now), Some(id));
    assert_eq!(read(&good, "boot", now.plus(USED_AGAIN)), Some(id));
    for (what, text) in [
        ("another boot", written("other", now, id)),
        ("too old", written("boot", Moment::of_millis(879_999), id)),
        ("from the future", written("boot", Moment::of_millis(1_000_001), id)),
        ("cut short", good.trim_end().to_owned()),
        ("half", good[..good.len() / 2].to_owned()),
        ("more fields", good.replace('\n', " x\n")),
        ("fewer fields", format!("{FORM} boot 1000000\n")),
        ("another form", good.replace("id/1", "id/2")),
        ("no time", good.replace("1000000", "now")),
        ("no id", good.replace("07", "zz")),
        ("nothing", String::new()),
    ] {
        assert_eq!(read(&text, "boot", now), None, "{what}");
        let place = Place::new();
        drop(place.take());
        fs::write(place.dir.join("node2.reset"), &text).unwrap();
        let fresh = place.take();
        assert_ne!(fresh.id(), id, "{what}");
        assert_eq!(place.names(), ["node2.reset"], "{what}");
        assert!(fresh.word().is_none(), "{what}");
    }
    let place = Place::new();
    drop(place.take());
    fs::write(place.dir.join("node2.reset"), [0xff; 300]).unwrap();
    assert!(place.take().word().is_none());
}

#[test]
fn nothing_is_read_or_written_through_a_link_or_for_others() {
    let place = Place::new();
    drop(place.take());
    let id = written("boot", Moment::of_millis(1_000_000), RequestId::from_bits(7));
    let own = place.dir.join("node2.reset");
    let elsewhere = place.dir.join("../elsewhere");
    fs::write(&elsewhere, &id).unwrap();
    fs::remove_file(&own).unwrap();
    symlink(&elsewhere, &own).unwrap();
    assert_ne!(place.take().id(), RequestId::from_bits(7));
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), id);
    assert_eq!(place.names(), ["node2.reset", "node2.reset.2"], "a link is left where it is");

    // A file that others may read or write.
    fs::remove_file(&own).unwrap();
    fs::remove_file(place.dir.join("node2.reset.2")).unwrap();
    fs::write(&own, &id).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o644)).unwrap();
    assert_ne!(place.take().id(), RequestId::from_bits(7));
}

#[test]
fn a_directory_that_is_not_ours_alone_is_not_used_and_said() {
    let place = Place::new();
    drop(place.take());
    fs::set_permissions(&place.dir, fs::Permissions::from_mode(0o755)).unwrap();
    let kept = place.take();
    assert!(kept.slot.is_none());
    let word = kept.word().unwrap();
    assert!(word.contains("0755") && word.contains("may kill again"), "{word}");

    let linked = place.dir.join("../linked");
    symlink(&place.dir, &linked).unwrap();
    fs::set_permissions(&place.dir, fs::Permissions::from_mode(0o700)).unwrap();
    let node = NodeName::parse("node2").unwrap();
    let take = |path: &Path| {
        KeptId::take_in(path, "boot", Moment::of_millis(1), &node, Action::Off).unwrap()
    };
    assert!(take(&linked).slot.is_none(), "through a link");
    assert!(take(&place.dir.join("no/such")).slot.is_none());
    assert!(take(&place.dir.join("node2.reset")).slot.is_none(), "a file");
}

#[test]
fn ids_are_kept_where_only_the_caller_writes() {
    let of = |is_root, dir: Option<&str>| place(is_root, dir.map(Into::into));
    assert_eq!(of(true, Some("/run/user/5")), Ok(PathBuf::from("/run/xen-fence-agent")));
    assert_eq!(of(false, Some("/run/user/5")), Ok(PathBuf::from("/run/user/5/xen-fence")));
    assert!(of(false, Some("here")).is_err());
    assert!(of(false, None).is_err());
}
