//! The commands that change lines of sshd's files. Several are printed at once and typed one after another:
//! each finds a line by its number and keeps off it where it is another one by then, and none that adds a line
//! moves those that others change, as far as that can be.

use super::super::look;
use super::blocks;
use super::config::{self, Line};
use super::{MATCH_FILE, Way};
use crate::acl::accounts::GROUP;
use std::path::Path;

/// The command that gives a setting its value: in the place of the line at fault where that is for the accounts
/// alone, or in a line that sshd takes before it. What others have stays as it is.
pub(super) fn give(way: Way, at_fault: Option<&Line>, wanted: &str, lines: &[Line]) -> String {
    let Some(line) = at_fault else { return add(way, wanted, lines) };
    // That one cannot stand in a block.
    let is_for_all = line.keyword == "permituserenvironment";
    let is_for_them = line.blocks.iter().any(|criteria| blocks::is_for_clusters_alone(criteria));
    if way == Way::Dedicated || is_for_all || is_for_them {
        return set(line, wanted);
    }
    // sshd takes what is in blocks first, and of those the first.
    let at = |is_it: &dyn Fn(&Line) -> bool| lines.iter().position(is_it);
    if line.blocks.is_empty() || at(&is_block) < at(&|other| other == line) {
        return add(way, wanted, lines);
    }
    let place = format!("{}:{}", line.file.display(), line.number);
    if line.file == Path::new(MATCH_FILE) {
        return format!("put the block `Match Group {GROUP}` before that of {place}");
    }
    format!(
        "have sshd read {MATCH_FILE} before the Match block of {place}, which is for others, too"
    )
}

/// Whether our block begins here.
fn is_block(line: &Line) -> bool {
    is_read(line) && is_ours(&line.value)
}

/// Whether a block of our file begins here, outside of all others.
fn is_read(line: &Line) -> bool {
    line.file == Path::new(MATCH_FILE) && line.keyword == "match" && line.blocks.is_empty()
}

fn is_ours(criteria: &str) -> bool {
    let words: Vec<&str> = config::criteria(criteria).collect();
    matches!(words.as_slice(), [by, whom] if by.eq_ignore_ascii_case("group") && *whom == GROUP)
}

/// The command that puts another line in the place of this one.
pub(super) fn set(line: &Line, wanted: &str) -> String {
    let script = format!(r"{}s|^\s*{}\b.*|{wanted}|I", line.number, line.keyword);
    sed("-i", &script, &line.file)
}

/// The command that adds a line where none sets it yet.
fn add(way: Way, wanted: &str, lines: &[Line]) -> String {
    if way == Way::Dedicated {
        return add_for_all(way, wanted, lines);
    }
    let is_in = |line: &&Line| {
        let is_inside = matches!(line.blocks.as_slice(), [criteria] if is_ours(criteria));
        is_block(line) || line.file == Path::new(MATCH_FILE) && line.keyword != "match" && is_inside
    };
    match lines.iter().rfind(is_in) {
        Some(last) => sed("-i", &format!("{}a {wanted}", last.number), &last.file),
        None if lines.iter().any(is_read) => format!(
            "put `{wanted}` into a block `Match Group {GROUP}` of its own, above all others of {MATCH_FILE}"
        ),
        // That file alone: what nobody has read so far, beside it, would be everybody's.
        None => format!(
            "have sshd read the block `Match Group {GROUP}` of {MATCH_FILE}, with `{wanted}` in it: put \
             `Include {MATCH_FILE}` above all else in {}",
            way.file()
        ),
    }
}

/// The command that adds a line outside of all blocks.
pub(super) fn add_for_all(way: Way, wanted: &str, lines: &[Line]) -> String {
    let file = Path::new(way.file());
    let block = lines.iter().find(|line| line.file == file && line.keyword == "match");
    let place = block.map_or_else(|| "$a".to_owned(), |line| format!("{}i", line.number));
    sed("-i", &format!("{place} {wanted}"), file)
}

/// The command that puts a word at the end of a list, before a comment.
pub(super) fn append(line: &Line, word: &str) -> String {
    let is_there = format!(r"/^([^#]|\S#)*\s{}(\s|$)/", escaped(word));
    of_list(line, &format!(r"{is_there}!s/(\s#.*)?$/ {word}\1/"))
}

/// The command that takes words out of a list: who else is kept out stays out. An empty list is no line.
pub(super) fn take_out(line: &Line, is_it: &dyn Fn(&str) -> bool) -> String {
    let one = |word: &str| format!(r#"s/([[:space:]=])"?{}"?(\s+|$)/\1/"#, escaped(word));
    let mut changes: Vec<String> =
        line.value.split(' ').filter(|word| is_it(word)).map(one).collect();
    changes.push(format!(r"s/^\s*{}[[:space:]=]*(#.*)?$/#&/I", line.keyword));
    of_list(line, &changes.join(";"))
}

/// The command that turns a line into a comment.
pub(super) fn comment_out(line: &Line) -> String {
    let script = format!(r"{}s/^\s*{}\b/#&/I", line.number, line.keyword);
    sed("-i", &script, &line.file)
}

/// The command that does several things to a line, if it is still of this keyword.
fn of_list(line: &Line, changes: &str) -> String {
    let script = format!(r"{}{{/^\s*{}\b/I{{{changes}}}}}", line.number, line.keyword);
    sed("-i -E", &script, &line.file)
}

fn sed(options: &str, script: &str, file: &Path) -> String {
    format!("sed {options} {} {}", look::quoted(script), look::quoted_path(file))
}

/// A word that stands for itself in an extended regular expression of sed's.
fn escaped(word: &str) -> String {
    let one = |c: char| if r".*?+^$|/\()[]{}".contains(c) { format!("\\{c}") } else { c.into() };
    word.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::host::sshd::config;
    use crate::patterns::{fits, user_and_hosts};
    use std::fs;

    /// What is left of a file with this text after commands that its second line yields.
    fn typed(text: &str, commands: &dyn Fn(&Line) -> Vec<String>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c");
        fs::write(&file, format!("# fence-*\n{text}\n")).unwrap();
        let lines = config::lines(&file);
        for command in commands(&lines[0]) {
            let done = look::run("/bin/sh", &["-c", &command]).unwrap();
            assert!(done.status.success(), "{command}: {}", done.stderr);
        }
        let left = fs::read_to_string(&file).unwrap();
        left.strip_prefix("# fence-*\n").unwrap().trim_end_matches('\n').to_owned()
    }

    #[test]
    fn who_else_is_kept_out_stays_out() {
        for (text, wanted) in [
            ("DenyUsers fence-*", "#DenyUsers "),
            ("DenyUsers root guest fence-*", "DenyUsers root guest "),
            ("DenyUsers=fence-* root", "DenyUsers=root"),
            ("  denyusers \"fence-*\" fence-x root", "  denyusers fence-x root"),
            ("DenyUsers fence-a@10.0.0.0/8 x?fence-* fence-?", "DenyUsers x?fence-* "),
            ("DenyUsers fence-a # fence-b", "#DenyUsers # fence-b"),
        ] {
            let is_it = |word: &str| fits(user_and_hosts(word).0, "fence-a");
            assert_eq!(typed(text, &|line| vec![take_out(line, &is_it)]), wanted);
        }
    }

    #[test]
    fn a_mend_leaves_to_the_next_what_it_needs() {
        let users = ["fence-a", "fence-b"];
        let both = |line: &Line| users.map(|user| take_out(line, &|word| word == user)).to_vec();
        for (text, wanted) in [
            ("DenyUsers fence-a fence-b", "#DenyUsers "),
            ("DenyUsers fence-a root fence-b", "DenyUsers root "),
            ("DenyUsers = fence-b fence-a # both", "#DenyUsers = # both"),
        ] {
            assert_eq!(typed(text, &both), wanted);
        }
        let twice = |line: &Line| vec![append(line, "fence-*"), append(line, "fence-*")];
        for (text, wanted) in [
            ("AllowUsers root", "AllowUsers root fence-*"),
            ("AllowUsers root  # no fence-*", "AllowUsers root  fence-* # no fence-*"),
            ("AllowUsers root#1 # a # b", "AllowUsers root#1 fence-* # a # b"),
        ] {
            assert_eq!(typed(text, &twice), wanted);
        }
    }

    #[test]
    fn another_line_is_left_alone() {
        let moved = |line: &Line| {
            let all = [set(line, "PermitTTY no"), comment_out(line), append(line, "x")];
            let first = sed("-i", "1i PermitTTYs yes", &line.file);
            let back = sed("-i", "1d", &line.file);
            [vec![first], all.to_vec(), vec![take_out(line, &|_| true), back]].concat()
        };
        assert_eq!(typed("PermitTTY yes", &moved), "PermitTTY yes");
        assert_eq!(typed("\tpermittty=yes", &|it| vec![set(it, "PermitTTY no")]), "PermitTTY no");
        assert_eq!(typed(" AcceptEnv A", &|line| vec![comment_out(line)]), "# AcceptEnv A");
    }

    /// Administrators log in by the host's own sshd.
    #[test]
    fn what_is_for_others_as_well_stays_as_it_is() {
        let wanted = "PermitTTY no";
        let block = line(MATCH_FILE, 3, "match", "group = xen-fence", None);
        for (criteria, is_first, mend) in [
            (None, false, "sed -i '3a"),
            (Some("Address 10.0.0.0/8"), false, "sed -i '3a"),
            (Some("Address 10.0.0.0/8"), true, "have sshd read"),
            (Some("User fence-*,root"), true, "have sshd read"),
            (Some("User fence-*"), true, r"sed -i '7s|^\s*permittty"),
            (Some("Address 10.0.0.0/8 Group xen-fence"), true, r"sed -i '7s|^\s*permittty"),
        ] {
            let at_fault = line("/etc/ssh/a", 7, "permittty", "yes", criteria);
            let mut lines = vec![block.clone(), at_fault.clone()];
            if is_first {
                lines.reverse();
            }
            let found = give(Way::Hosts, Some(&at_fault), wanted, &lines);
            assert!(found.starts_with(mend), "{criteria:?}: {found}");
            let unread =
                give(Way::Hosts, Some(&at_fault), wanted, &lines[usize::from(!is_first)..][..1]);
            assert!(!unread.starts_with("sed -i '3a"), "{unread}");
        }
        let above = line(MATCH_FILE, 1, "permittty", "yes", Some("Address 10.0.0.0/8"));
        let found = give(Way::Hosts, Some(&above), wanted, &[above.clone(), block]);
        assert!(found.starts_with("put the block"), "{found}");
    }

    fn line(file: &str, number: usize, keyword: &str, value: &str, block: Option<&str>) -> Line {
        let blocks = block.into_iter().map(str::to_owned).collect();
        Line { file: file.into(), number, keyword: keyword.into(), value: value.into(), blocks }
    }

    #[test]
    fn what_is_added_moves_no_line_that_another_changes() {
        let main = Way::Dedicated.file();
        let one = line(main, 4, "usedns", "no", None);
        let added = |lines: &[Line]| add(Way::Dedicated, "X y", lines);
        assert_eq!(added(std::slice::from_ref(&one)), format!("sed -i '$a X y' {main}"));
        let elsewhere = line("/etc/more", 2, "match", "all", None);
        let block = line(main, 9, "match", "User bob", None);
        assert_eq!(added(&[one, elsewhere, block]), format!("sed -i '9i X y' {main}"));
        let group = Some("Group xen-fence");
        let ours = [
            line(MATCH_FILE, 3, "match", "Group xen-fence", None),
            line(MATCH_FILE, 5, "permittty", "no", group),
            line(MATCH_FILE, 7, "match", "all", None),
            line("/etc/ssh/sshd_config", 8, "usedns", "no", None),
        ];
        let added = |lines: &[Line]| add(Way::Hosts, "X y", lines);
        assert_eq!(added(&ours), format!("sed -i '5a X y' {MATCH_FILE}"));
        assert_eq!(added(&ours[..1]), format!("sed -i '3a X y' {MATCH_FILE}"));
        let unread = added(&ours[3..]);
        assert!(unread.starts_with("have sshd read the block"), "{unread}");
        let inner = [line(MATCH_FILE, 3, "match", "Group xen-fence", Some("Group sftponly"))];
        assert_eq!(added(&inner), unread, "it holds for nobody there");
        assert!(unread.contains(&format!("`Include {MATCH_FILE}` above")), "{unread}");
        let other = [line(MATCH_FILE, 3, "match", "User fence-*", None)];
        assert!(added(&other).starts_with("put `X y` into a block"), "{}", added(&other));
    }
}
