//! The text of a policy: how a new one begins, a node's table, and a key more in a list of keys.

use super::super::domains::Domain;
use super::super::wishes::{ClusterWish, NodeWish};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use xen_fence_broker::names::ClusterName;

/// A node, so that the lines above it can be read by themselves.
pub(super) const ANY_NODE: &str = "[nodes.any]\nuuid = \"0f6a1b2c-0000-4000-8000-000000000001\"\n\
    keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDN\"]\n";

/// What nodes may do if nothing else is wished.
const ALL: [&str; 4] = ["reset", "off", "on", "status"];

/// A new policy up to its first node.
pub(super) fn head(cluster: &ClusterName, wish: &ClusterWish) -> String {
    format!(
        "# Who may fence whom in the cluster {cluster}. Every key that there is, with its meaning:\n\
         # /usr/share/doc/xen-fence/examples/alpha.toml. After a change: xen-fence-admin acl apply\n\
         {}{}",
        actions(wish),
        from(wish)
    )
}

/// What the nodes may do.
pub(super) fn actions(wish: &ClusterWish) -> String {
    let wished: Vec<&str> = wish.actions.iter().map(String::as_str).collect();
    let actions = if wished.is_empty() { &ALL[..] } else { &wished };
    format!("actions = [{}]\n", list(actions))
}

/// From where, if that is wished.
pub(super) fn from(wish: &ClusterWish) -> String {
    let from: Vec<&str> = wish.from.iter().map(String::as_str).collect();
    if from.is_empty() { String::new() } else { format!("from = [{}]\n", list(&from)) }
}

/// A node's table.
pub(super) fn block(node: &NodeWish, domain: &Domain, config: Option<&Path>) -> String {
    let name = node.name.as_str();
    let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let name = if bare { name.to_owned() } else { quoted(name) };
    let mut text = format!("[nodes.{name}]\n");
    let lines = [
        Some(("domain", quoted(domain.name.as_str()))),
        Some(("uuid", quoted(&domain.uuid.to_string()))),
        config.map(|file| ("config", quoted(&file.display().to_string()))),
        Some(("keys", format!("[{}]", quoted(&node.key.line(&node.name))))),
    ];
    for (key, value) in lines.into_iter().flatten() {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{key} = {value}");
    }
    text
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ")
}

/// A TOML string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether this is a file at all: one whose nodes stand in braces takes no table behind it.
pub(super) fn is_toml(text: &str) -> bool {
    toml::from_str::<IgnoredAny>(text).is_ok()
}

#[derive(Deserialize)]
struct Keys {
    nodes: BTreeMap<String, NodeKeys>,
}

#[derive(Deserialize)]
struct NodeKeys {
    keys: Spanned<Vec<Spanned<String>>>,
}

/// The text with a key more behind a node's last one; nothing if a comment stands among them, which
/// would be beside the wrong key then.
pub(super) fn with_key(text: &str, node: &str, key: &str) -> Option<String> {
    let tables: Keys = toml::from_str(text).ok()?;
    let (_, table) = tables.nodes.iter().find(|(name, _)| name.eq_ignore_ascii_case(node))?;
    let all = table.keys.span();
    let last = table.keys.as_ref().last()?.span();
    let between = outside(text, &all, table.keys.as_ref())?;
    if between.contains('#') {
        return None;
    }
    let line_begin = text.get(..last.start)?.rfind('\n').map_or(0, |at| at.saturating_add(1));
    let indent = text.get(line_begin..last.start)?;
    // One on each line, or all on one.
    let gap = if all.start < line_begin && indent.trim().is_empty() {
        format!(",\n{indent}")
    } else {
        ", ".to_owned()
    };
    let (before, behind) = (text.get(..last.end)?, text.get(last.end..)?);
    Some(format!("{before}{gap}{}{behind}", quoted(key)))
}

/// What of a list is in none of its strings.
fn outside(text: &str, all: &Range<usize>, keys: &[Spanned<String>]) -> Option<String> {
    let mut found = String::new();
    let mut at = all.start;
    for key in keys {
        found.push_str(text.get(at..key.span().start)?);
        at = key.span().end;
    }
    found.push_str(text.get(at..all.end)?);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_more_leaves_everything_else_as_it_is() {
        for (keys, expected) in [
            ("[\"a\"]", "[\"a\", \"new\"]"),
            ("[ 'a#b', ] # mine", "[ 'a#b', \"new\", ] # mine"),
            ("[\n  \"a\",\n]", "[\n  \"a\",\n  \"new\",\n]"),
            ("[\n\t\"a\" ]", "[\n\t\"a\",\n\t\"new\" ]"),
            ("[\"\"\"a\"\"\"]", "[\"\"\"a\"\"\", \"new\"]"),
        ] {
            let text = |keys: &str| {
                format!(
                    "# top\n[nodes.\"Node.1\"] # first\nkeys = {keys}\n\n[nodes.b]\nkeys = [\"b\"]\n"
                )
            };
            assert_eq!(with_key(&text(keys), "node.1", "new").unwrap(), text(expected));
        }
    }

    #[test]
    fn a_comment_among_keys_stays_beside_its_own() {
        for keys in ["[\n  \"a\", # of January\n]", "[\n  # old\n  \"a\"\n]", "[]", "\"a\""] {
            assert_eq!(
                with_key(&format!("[nodes.n]\nkeys = {keys}\n"), "n", "new"),
                None,
                "{keys}"
            );
        }
        assert_eq!(with_key("[nodes.n]\nkeys = [\"a\"]\n", "m", "new"), None);
    }

    #[test]
    fn a_table_goes_behind_tables_and_not_behind_braces() {
        assert!(is_toml("[nodes.a]\nuuid = \"x\"\n\n[operators.b]\n\n[nodes.c]\n"));
        assert!(!is_toml("nodes = { a = { uuid = \"x\" } }\n\n[nodes.c]\n"));
        assert!(!is_toml("[nodes.a]\n\n[nodes.a]\n"));
    }

    #[test]
    fn nothing_that_is_given_can_end_its_string() {
        assert_eq!(quoted("a\"]\n\\"), "\"a\\\"]\\u000a\\\\\"");
    }
}
