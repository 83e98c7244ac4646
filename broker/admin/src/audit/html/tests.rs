use super::*;
use crate::audit::Code;

static OPEN: Code = Code { id: "XF001", severity: Severity::Serious, title: "too open" };
static SLOW: Code = Code { id: "XF101", severity: Severity::Warning, title: "too slow" };

fn finding(code: &'static Code, hostile: &str) -> Finding {
    Finding {
        code,
        clusters: vec!["alpha".to_owned()],
        about: format!("about {hostile}"),
        evidence: format!("evidence {hostile}"),
        mend: format!("mend {hostile}\nsecond line"),
    }
}

fn deed(kind: Kind, time: &str, hostile: &str) -> Deed {
    Deed {
        kind,
        time: time.to_owned(),
        cluster: "alpha".to_owned(),
        caller: format!("node {hostile}"),
        from: hostile.to_owned(),
        action: "reset".to_owned(),
        node: hostile.to_owned(),
        result: "fenced killed".to_owned(),
        text: hostile.to_owned(),
    }
}

fn report(hostile: &str) -> Report {
    let column = |cluster: Option<&str>, node: Option<&str>| Column {
        cluster: cluster.map(str::to_owned),
        node: node.map(str::to_owned),
        domain: format!("domain {hostile}"),
    };
    let kill = (Strength::Kill, "reset off".to_owned());
    let row = Row {
        cluster: "alpha".to_owned(),
        caller: format!("node {hostile}"),
        cells: vec![kill, (Strength::None, String::new())],
    };
    Report {
        host: hostile.to_owned(),
        made: "2026-11-22T09:00:00Z".to_owned(),
        cluster: Some("alpha".to_owned()),
        matrix: Matrix {
            columns: vec![column(Some("alpha"), Some("node1")), column(None, None)],
            rows: vec![row],
        },
        findings: vec![finding(&OPEN, hostile), finding(&SLOW, hostile)],
        deeds: vec![
            deed(Kind::Killed, "2026-11-20T09:00:00Z", hostile),
            deed(Kind::Refused, hostile, hostile),
        ],
        left_out: 3,
        unread: vec![hostile.to_owned()],
        policies: vec![(hostile.to_owned(), "ab12".to_owned())],
        chains: vec![format!("alpha: {hostile}")],
    }
}

/// The names of all tags of a page, and whether each that is opened is closed in its order.
fn tags(page: &str) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    let mut seen = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').expect("each < is closed");
        let name: String = tag.chars().take_while(|c| !c.is_whitespace() && *c != '/').collect();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed), "{tag}");
        } else if !tag.ends_with('/') && !["!DOCTYPE", "meta"].contains(&&*name) {
            open.push(name.clone());
        }
        seen.push(name);
    }
    assert_eq!(open, Vec::<String>::new());
    seen
}

#[test]
fn nothing_that_a_stranger_wrote_is_markup() {
    let tame = tags(&page(&report("x")));
    for hostile in [
        "</td><script>alert(1)</script>",
        "\" onload=\"alert(1)",
        "'><img src=http://x>",
        "&lt;b&gt;\u{202e}\u{1b}[31m\n",
        "</style><style>",
    ] {
        let page = page(&report(hostile));
        assert_eq!(tags(&page), tame, "{hostile}");
        assert!(page.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
    }
}

#[test]
fn it_needs_no_script_and_no_network() {
    let page = page(&report("x"));
    for word in ["<script", "http:", "https:", "url(", "@import", "<link", "src="] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn all_that_was_found_and_done_is_on_it() {
    let page = page(&report("x"));
    for word in [
        "XF001",
        "too slow",
        "evidence x",
        "mend x\nsecond line",
        "1 serious",
        "1 warning",
        "3 older ones",
        "is on this page: x.",
        "alpha node x at domain x: reset off",
        "in no cluster",
        "ab12",
        "audit --cluster alpha",
        "2026-11-20: 1 killed",
    ] {
        assert!(page.contains(word), "{word} in {page}");
    }
    let empty = Report {
        matrix: Matrix { columns: Vec::new(), rows: Vec::new() },
        findings: Vec::new(),
        deeds: Vec::new(),
        unread: Vec::new(),
        policies: Vec::new(),
        chains: Vec::new(),
        ..report("x")
    };
    let page = super::page(&empty);
    let _ = tags(&page);
    for word in ["nobody may do anything", "Nothing was found", "no kill and no refusal"] {
        assert!(page.contains(word), "{word}");
    }
}
