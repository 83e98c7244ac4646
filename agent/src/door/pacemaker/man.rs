//! The man page of `fence_xen`, made of the table.

use super::super::parameters::{AGENT, TABLE};
use super::{Deed, NAME};
use std::fmt::Write as _;

/// The page.
pub(super) fn page() -> String {
    let mut page = format!(
        ".TH {} 8 \"\" \"xen-fence {}\" \"xen-fence\"\n.SH NAME\n{NAME} \\- {}\n\
         .SH SYNOPSIS\n.B {NAME}\n[\\fIOPTIONS\\fR]\n.br\n.B {NAME}\n< \\fIFILE\\fR\n\
         .SH DESCRIPTION\n{}\n.PP\nPacemaker calls it. A person may as well call \\fBxen-fence\\fR, whose \
         exit codes tell more.\n.SH OPTIONS\nWithout options, lines of \\fINAME\\fR=\\fIVALUE\\fR are read \
         from standard input, with the names in parentheses; what is not known there is left alone.\n",
        NAME.to_uppercase(),
        env!("CARGO_PKG_VERSION"),
        safe(AGENT.title),
        safe(AGENT.story)
    );
    for one in TABLE {
        let short = one.short.map(|letter| format!("\\-{letter}, ")).unwrap_or_default();
        let value = if one.value.is_empty() { "" } else { " " };
        let mut names = vec![one.name()];
        names.extend(one.older.iter().map(|older| (*older).to_owned()));
        let default = one.default.map(|text| format!(" Default: {text}.")).unwrap_or_default();
        let _ = write!(
            page,
            ".TP\n\\fB{short}\\-\\-{}\\fR{value}\\fI{}\\fR ({})\n{}.{}\n",
            safe(one.long),
            safe(one.value),
            safe(&names.join(", ")),
            safe(one.text),
            safe(&default)
        );
    }
    page.push_str(".SH ACTIONS\n");
    for deed in Deed::ALL {
        let _ = write!(page, ".TP\n.B {}\n{}.\n", safe(deed.word()), safe(deed.text()));
    }
    page.push_str(
        ".SH EXIT STATUS\n.TP\n.B 0\nDone and proven; for status, the node is on.\n\
         .TP\n.B 1\nFailed, refused, or nobody can tell: never take it for dead. Such a call takes a \
         second at least; a fence for which time alone was not enough takes 43 s, if it has them.\n.TP\n.B 2\nFor status, the node is off.\n\
         .SH FILES\n.TP\n.I /etc/xen\\-fence/agent.toml\nWhat holds where no option says otherwise.\n\
         .SH SEE ALSO\n.BR xen\\-fence (8),\n.BR stonith_admin (8)\n",
    );
    page
}

/// Text that means nothing to troff.
fn safe(text: &str) -> String {
    let text = text.trim_end().replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page that is installed is a file of the repository, so that a package needs not run what it
    /// has built. `XEN_FENCE_WRITE=1 cargo test` writes it anew.
    #[test]
    fn the_page_in_the_repository_is_this_one() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fence_xen.8");
        if std::env::var_os("XEN_FENCE_WRITE").is_some() {
            std::fs::write(file, page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(file).unwrap_or_default(), page());
    }
}
