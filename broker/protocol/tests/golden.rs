//! Holds codec and documentation together: the lines of docs/protocol.md are the golden vectors.

use xen_fence_protocol::{ClientLine, MAX_CLIENT_LINE, MAX_REPLY_LINE, Reply, WireError};

const PAGE: &str = include_str!("../../../docs/protocol.md");

/// The lines of the page's code blocks of one kind.
fn lines(kind: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in PAGE.lines() {
        match line.strip_prefix("```") {
            Some(fence) => inside = !inside && fence == kind,
            None if inside => found.push(line),
            None => {}
        }
    }
    assert!(found.len() > 5, "docs/protocol.md has lost its block {kind:?}");
    found
}

fn bytes(line: &str) -> Vec<u8> {
    let unescaped = line.replace("\\0", "\0").replace("\\t", "\t").replace("\\r", "\r");
    let mut bytes = unescaped.replace("\\xc3\\xb6", "ö").into_bytes();
    bytes.push(b'\n');
    bytes
}

#[test]
fn every_client_line_is_read_and_written_as_it_stands() {
    for line in lines("client") {
        let read =
            ClientLine::decode(&bytes(line)).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(read.to_string(), format!("{line}\n"));
        assert!(Reply::decode(&bytes(line)).is_err(), "{line}");
    }
}

#[test]
fn every_broker_line_is_read_and_written_as_it_stands() {
    for line in lines("broker") {
        let read = Reply::decode(&bytes(line)).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(read.to_string(), format!("{line}\n"));
        assert!(ClientLine::decode(&bytes(line)).is_err(), "{line}");
    }
}

#[test]
fn every_refused_line_is_refused_by_both_sides() {
    for line in lines("refused") {
        assert!(ClientLine::decode(&bytes(line)).is_err(), "{line:?}");
        assert!(Reply::decode(&bytes(line)).is_err(), "{line:?}");
    }
}

#[test]
fn the_example_uses_lines_that_are_shown() {
    let known = [lines("client"), lines("broker")].concat();
    for line in lines("text") {
        let said = line.trim_start_matches("agent").trim_start_matches("broker").trim_start();
        assert!(known.contains(&said), "{said}");
    }
}

#[test]
fn no_byte_can_be_added_or_lost_unnoticed() {
    for line in lines("client") {
        let whole = bytes(line);
        for end in 0..whole.len() {
            assert!(ClientLine::decode(&whole[..end]).is_err(), "{line:?} cut at {end}");
        }
        for extra in [&b" "[..], b"\n", b"\0", b"\r\n", b" x\n"] {
            let more = [&whole[..], extra].concat();
            assert!(ClientLine::decode(&more).is_err(), "{line:?} with {extra:?}");
        }
    }
}

#[test]
fn the_caps_are_exact() {
    let refused =
        |cap, result: Result<(), WireError>| assert_eq!(result, Err(WireError::Oversized(cap)));
    let long = [vec![b'a'; MAX_CLIENT_LINE], b"\n".to_vec()].concat();
    refused(MAX_CLIENT_LINE, ClientLine::decode(&long).map(drop));
    let long = [vec![b'a'; MAX_REPLY_LINE], b"\n".to_vec()].concat();
    refused(MAX_REPLY_LINE, Reply::decode(&long).map(drop));
    let fits = [vec![b'a'; MAX_CLIENT_LINE - 1], b"\n".to_vec()].concat();
    assert_eq!(ClientLine::decode(&fits), Err(WireError::NotOurs));
}

/// Every line that a broker can make fits its own cap, whatever the names and sentences are.
#[test]
fn the_longest_reply_fits() {
    use xen_fence_protocol::*;
    let longest = NodeName::parse(&"n".repeat(MAX_NODE_NAME)).unwrap();
    let reply = Reply {
        id: Some(RequestId::from_bits(u128::MAX)),
        dom0: HostName::of_kernel(&"h".repeat(100)),
        broker: Version::parse(&"1".repeat(32)).unwrap(),
        body: Body::Finding {
            node: Some(longest),
            level: Level::Warn,
            step: Step::parse(&"s".repeat(32)).unwrap(),
            text: Text::escaped(&"ö".repeat(5000)),
        },
    };
    let line = reply.to_string();
    assert!(line.len() <= MAX_REPLY_LINE, "{}", line.len());
    assert_eq!(Reply::decode(line.as_bytes()), Ok(reply));
}
