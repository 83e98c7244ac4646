//! Lines of syslog, written and read; and strangers who would like to write one.

use super::*;

const HEAD: &str = "5f0c0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab";

fn record(text: &str) -> Record {
    Record {
        cluster: "alpha".to_owned(),
        event: Some(Event::Outcome),
        caller: Some("node node1".to_owned()),
        action: Some("off".to_owned()),
        node: Some("node2".to_owned()),
        domid: Some(5),
        result: Some("fenced killed".to_owned()),
        text: Some(text.to_owned()),
        ..Record::default()
    }
}

fn kept() -> Kept<'static> {
    Kept::InJournal { n: 12, head: HEAD }
}

#[test]
fn a_record_is_one_line_of_named_fields() {
    let line = line("xen1", &record("its death is proven"), kept());
    assert_eq!(
        line,
        format!(
            "cluster=alpha dom0=xen1 n=12 head={HEAD} event=outcome action=off node=node2 \
             result=\"fenced killed\" caller=\"node node1\" domid=5 text=\"its death is proven\""
        )
    );
}

#[test]
fn every_daemons_way_of_writing_a_line_is_read() {
    let said = line("xen1", &record("x"), kept());
    let (dom0, cluster) = ("xen1".to_owned(), "alpha".to_owned());
    let anchor = Anchor { dom0, cluster, kept: Some((12, HEAD.to_owned())) };
    for before in [
        "",
        "Nov 22 07:10:07 xen1 xen-fence-broker[123]: ",
        "2026-11-22T07:10:07.123456+00:00 xen1 xen-fence-broker[123]:  ",
    ] {
        assert_eq!(Anchor::read(&format!("{before}{said}")).as_ref(), Some(&anchor), "{before}");
    }
    for other in [
        format!("Nov 22 07:10:07 xen1 logger: {said}"),
        format!("Nov 22 07:10:07 xen1 sudo[12]: xen-fence-broker {said}"),
        format!("Nov 22 07:10:07 xen1 xen-fence-broker[x]: {said}"),
        line("xen1", &record("x"), Kept::Nowhere),
        said.replace("n=12", "n=twelve"),
        said.replace(HEAD, "5f0c"),
        "cluster=".to_owned(),
        "cluster=\"alpha".to_owned(),
    ] {
        assert_eq!(Anchor::read(&other), None, "{other}");
    }
}

#[test]
fn what_strangers_say_forges_no_field_and_no_line() {
    let hostile = "\" n=99 head=ffffffffffffffff\\\" \u{1b}[31m\nNov 22 xen-fence-broker[1]: \
                   cluster=beta n=1";
    let record = Record { node: Some(hostile.to_owned()), ..record(hostile) };
    let line = line("xen1", &record, kept());
    assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line}");
    for field in ["node", "text"] {
        let quoted = format!(r#" {field}="\" n=99 head=ffffffffffffffff\\\" \\u{{1b}}[31m"#);
        assert!(line.contains(&quoted), "{quoted}: {line}");
    }
    let anchor = Anchor::read(&line).unwrap();
    assert_eq!((anchor.cluster.as_str(), anchor.kept), ("alpha", Some((12, HEAD.to_owned()))));
    // Nor does what the disk says of a record that it did not take.
    let lost = super::line("xen1", &record, Kept::Lost(hostile));
    assert_eq!(Anchor::read(&lost).unwrap().kept, None);
}

#[test]
fn what_is_too_long_is_cut_and_the_head_is_there_all_the_same() {
    for text in ["x".repeat(5000), "\"".repeat(5000), "\\\u{1b}".repeat(900)] {
        let record = Record {
            rule: Some(text.clone()),
            result: Some(text.clone()),
            domain: Some(text.clone()),
            ..record(&text)
        };
        let line = line("xen1", &record, kept());
        assert!(line.len() <= LONGEST_ANCHOR && line.contains(" [cut]\""), "{line}");
        assert_eq!(Anchor::read(&line).unwrap().kept.unwrap().0, 12);
    }
}
