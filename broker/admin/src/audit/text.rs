//! Findings for the eye, and for programs.

use super::Finding;
use crate::output::{escaped, escaped_json, say};
use serde_json::json;

/// Prints all of them, and what it comes to.
pub(super) fn table(findings: &[Finding]) {
    for line in findings.iter().flat_map(paragraph) {
        if !say(line) {
            return;
        }
    }
    say(summary(findings));
}

/// Prints them as one object.
pub(super) fn json(findings: &[Finding]) {
    let list: Vec<_> = findings.iter().map(object).collect();
    say(escaped_json(&json!({ "findings": list }).to_string()));
}

fn object(finding: &Finding) -> serde_json::Value {
    json!({
        "code": finding.code.id,
        "severity": finding.code.severity.word(),
        "title": finding.code.title,
        "clusters": finding.clusters,
        "about": finding.about,
        "evidence": finding.evidence,
        "mend": finding.mend,
    })
}

fn paragraph(finding: &Finding) -> Vec<String> {
    let Finding { code, about, evidence, mend, .. } = finding;
    vec![
        format!("{} {:7}  {}: {}", code.id, code.severity, escaped(about), code.title),
        format!("    {}", escaped(evidence)),
        format!("    mend: {}", escaped(mend)),
    ]
}

fn summary(findings: &[Finding]) -> String {
    use super::Severity::{Note, Serious, Warning};
    if findings.is_empty() {
        return "nothing found: all that was looked at is as it should be".to_owned();
    }
    let count = |severity| findings.iter().filter(|it| it.code.severity == severity).count();
    let counts = [Serious, Warning, Note].map(|severity| format!("{} {severity}", count(severity)));
    format!("found: {}", counts.join(", "))
}
