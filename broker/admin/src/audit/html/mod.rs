//! The audit as one page that an auditor can file: no script, nothing from a network, readable in
//! print. It shows what the other forms say, and who killed whom.
//!
//! Whatever stands in it passes through [`text`], because strangers wrote part of it.

mod matrix;
mod timeline;

use super::{Finding, Severity};
use crate::output::escaped;
pub(crate) use matrix::{Column, Matrix, Row, Strength};
use std::fmt::Write as _;
pub(crate) use timeline::{Deed, Kind};

/// What the page is made of.
pub(crate) struct Report {
    /// dom0's name.
    pub(crate) host: String,
    /// When it was made: RFC 3339, UTC.
    pub(crate) made: String,
    /// The one cluster that was asked for.
    pub(crate) cluster: Option<String>,
    /// Who may do what to whom.
    pub(crate) matrix: Matrix,
    /// What the audit found, the worst first.
    pub(crate) findings: Vec<Finding>,
    /// Kills and refusals, the oldest first.
    pub(crate) deeds: Vec<Deed>,
    /// How many older ones are left out.
    pub(crate) left_out: usize,
    /// The journals that were not read whole, and why.
    pub(crate) unread: Vec<String>,
    /// Each cluster's policy file with its SHA-256, in hexadecimal.
    pub(crate) policies: Vec<(String, String)>,
    /// What walking along each cluster's journal came to, with the head of its chain.
    pub(crate) chains: Vec<String>,
}

const STYLE: &str = include_str!("style.css");

/// The whole page.
pub(crate) fn page(report: &Report) -> String {
    let title = match &report.cluster {
        Some(cluster) => format!("Who may kill whom in {cluster} on {}", report.host),
        None => format!("Who may kill whom on {}", report.host),
    };
    let title = text(&title);
    let mut out = String::new();
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'unsafe-inline'\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{title}</h1>\n<p>Made by <code>xen-fence-admin audit</code> {} on <b>{}</b>, \
         {}. {}</p>\n</header>\n<main>\n",
        env!("CARGO_PKG_VERSION"),
        text(&report.host),
        text(&report.made),
        verdict(&report.findings),
    );
    section(&mut out, "matrix", "Who may do what to whom", &matrix::section(&report.matrix));
    section(&mut out, "findings", "Findings", &findings(&report.findings));
    let deeds = timeline::section(&report.deeds, report.left_out, &report.unread);
    section(&mut out, "deeds", "Who killed whom, and what was refused", &deeds);
    section(&mut out, "verify", "How to verify this page", &verify(report));
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn section(out: &mut String, id: &str, title: &str, body: &str) {
    let _ = write!(out, "<section id=\"{id}\">\n<h2>{title}</h2>\n{body}</section>\n");
}

/// Text as HTML: nothing in it is markup, and nothing that is not printable ASCII is left.
pub(super) fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in escaped(raw).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

const ALL: [Severity; 3] = [Severity::Serious, Severity::Warning, Severity::Note];

fn verdict(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "Nothing was found: all that was looked at is as it should be.".to_owned();
    }
    let count = |severity| findings.iter().filter(|it| it.code.severity == severity).count();
    let counts = ALL.map(|severity| {
        let (word, count) = (severity.word(), count(severity));
        let class = if count == 0 { "" } else { word };
        format!("<span class=\"badge {class}\">{count} {word}</span>")
    });
    format!("Found: {}", counts.join(" "))
}

fn findings(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "<p>None. What could not be looked at would stand here as well.</p>\n".to_owned();
    }
    let mut out = String::new();
    for finding in findings {
        let Finding { code, clusters, about, evidence, mend } = finding;
        let (id, word) = (code.id, code.severity.word());
        let of = if clusters.is_empty() { "the host".to_owned() } else { clusters.join(", ") };
        let _ = write!(
            out,
            "<article class=\"finding {word}\">\n<h3><span class=\"badge {word}\">{word}</span> \
             <code>{id}</code> {}</h3>\n<p><b>{}</b> <span class=\"of\">({})</span></p>\n<p>{}</p>\n\
             <p class=\"label\">What mends it</p>\n<pre>{}</pre>\n</article>\n",
            text(code.title),
            text(about),
            text(&of),
            text(evidence),
            lines(mend),
        );
    }
    out
}

/// Text of several lines.
fn lines(raw: &str) -> String {
    raw.lines().map(text).collect::<Vec<_>>().join("\n")
}

fn verify(report: &Report) -> String {
    let mut out = String::from(
        "<p>What this page says can be said again, and compared. On the host, as root:</p>\n<pre>",
    );
    let only = report.cluster.as_ref().map_or_else(String::new, |it| format!(" --cluster {it}"));
    let _ = writeln!(
        out,
        "xen-fence-admin acl show{only}\nxen-fence-admin audit{only}\nxen-fence-admin log --verify{only}\n\
         sha256sum /etc/xen-fence/clusters.d/*.toml</pre>",
        only = text(&only)
    );
    out.push_str(
        "<p>Each record of a journal holds the hash of the one before it. The head of the chain \
         stands in syslog too, with each record. What follows goes by the syslog of this host, which \
         root could rewrite as well. Where that of another host has the head of a record, and no \
         other one for it, nobody has changed the journal up to that record since: \
         <code>log --verify --anchors FILE</code> compares.</p>\n<ul>\n",
    );
    for chain in &report.chains {
        let _ = writeln!(out, "<li>{}</li>", text(chain));
    }
    if report.chains.is_empty() {
        out.push_str("<li>no journal has been written yet</li>\n");
    }
    out.push_str("</ul>\n<div class=\"wide\"><table>\n<thead><tr><th>policy</th><th>SHA-256</th></tr></thead>\n<tbody>\n");
    for (file, sum) in &report.policies {
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code></td><td><code>{}</code></td></tr>",
            text(file),
            text(sum)
        );
    }
    out.push_str("</tbody>\n</table></div>\n");
    out
}

#[cfg(test)]
mod tests;
