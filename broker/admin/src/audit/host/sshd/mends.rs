//! The commands that change lines of sshd's files. Several are printed at once and typed one after another:
//! each finds a line by its number and keeps off it where it is another one by then, and none that adds a line
//! moves those that others change, as far as that can be.

use super::super::look;
use super::config::Line;
use super::{MATCH_FILE, Way};
use crate::acl::accounts::GROUP;
use std::path::Path;

/// The command that gives a setting its value: in the place of the line at fault, or where it comes first.
pub(super) fn give(way: Way, at_fault: Option<&Line>, wanted: &str, lines: &[Line]) -> String {
    match at_fault.filter(|line| !yields(way, line, lines)) {
        Some(line) => set(line, wanted),
        None => add(way, wanted, lines),
    }
}

/// Whether a line for others as well yields to one in our block: sshd takes what is in blocks first, and of
/// those the first.
fn yields(way: Way, line: &Line, lines: &[Line]) -> bool {
    let at = |is_it: &dyn Fn(&Line) -> bool| lines.iter().position(is_it);
    let block = at(&is_block);
    way == Way::Hosts
        && line.file != Path::new(MATCH_FILE)
        // That one cannot stand in a block.
        && line.keyword != "permituserenvironment"
        && block.is_some()
        && (line.blocks.is_empty() || block < at(&|other| other == line))
}

/// Whether our block begins here.
fn is_block(line: &Line) -> bool {
    line.file == Path::new(MATCH_FILE)
        && line.keyword == "match"
        && line.value == format!("Group {GROUP}")
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
    let ours = format!("Group {GROUP}");
    let is_in = |line: &&Line| {
        let is_inside = line.keyword != "match" && line.blocks.last() == Some(&ours);
        is_block(line) || line.file == Path::new(MATCH_FILE) && is_inside
    };
    match lines.iter().rfind(is_in) {
        Some(last) => sed("-i", &format!("{}a {wanted}", last.number), &last.file),
        None => format!("put `{wanted}` into a block `Match Group {GROUP}` in {MATCH_FILE}"),
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
        assert!(added(&ours[3..]).starts_with("put `X y` into a block"), "{}", added(&ours[3..]));
    }
}
