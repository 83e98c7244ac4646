//! The `xm` toolstack of xend, which left Xen with 4.5. Written from its manual and from what it
//! is known to print; never tried on a living xend.
//!
//! `xm list --long` prints S-expressions. xend renames a dying domain to `Zombie-NAME`, lists
//! domains that it manages but does not run (no domid), and restarts domains by itself.

use super::{Listing, ListingError, Program, Row, RowState, Toolstack, ToolstackError};
use crate::names::Uuid;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `xm`, by the path of the program.
#[derive(Clone, Debug)]
pub struct Xm {
    program: Program,
}

impl Xm {
    /// Uses this program.
    #[must_use]
    pub const fn at(program: PathBuf) -> Self {
        Self { program: Program(program) }
    }
}

impl Toolstack for Xm {
    fn name(&self) -> &'static str {
        "xm"
    }

    fn list(&self) -> Result<Listing, ToolstackError> {
        self.program.list(&["list", "--long"], parse)
    }

    fn destroy(&self, domid: u32) -> Result<(), ToolstackError> {
        self.program.destroy(domid)
    }

    fn pause(&self, domid: u32, limit: Duration) -> Result<(), ToolstackError> {
        self.program.pause(domid, limit)
    }

    fn dump_command(&self, domid: u32, file: &Path) -> Vec<String> {
        self.program.dump_command(domid, file)
    }

    fn create_command(&self, config: &Path) -> Vec<String> {
        self.program.create_command(config)
    }

    fn restarts_by_itself(&self) -> bool {
        true
    }
}

/// One node of an S-expression.
enum Sexp {
    Atom(String),
    List(Vec<Self>),
}

impl Sexp {
    /// The value of `(key value)` directly inside this list.
    fn value(&self, key: &str) -> Option<&str> {
        let Self::List(items) = self else { return None };
        items.iter().find_map(|item| match item {
            Self::List(pair) => match pair.as_slice() {
                [Self::Atom(name), Self::Atom(value)] if name == key => Some(value.as_str()),
                _ => None,
            },
            Self::Atom(_) => None,
        })
    }

    fn is_domain(&self) -> bool {
        matches!(self, Self::List(items)
            if matches!(items.first(), Some(Self::Atom(word)) if word == "domain"))
    }
}

fn parse(output: &str) -> Result<Listing, ListingError> {
    if output.trim().is_empty() {
        return Err(ListingError::Empty);
    }
    let mut rows = Vec::new();
    for domain in parse_sexps(output)? {
        let broken = |what| ListingError::Row { line: 1, what };
        if !domain.is_domain() {
            return Err(broken("an expression that is no domain"));
        }
        // A domain that xend manages and does not run has no domid: it holds nothing.
        let Some(domid) = domain.value("domid") else { continue };
        let domid = domid.parse().map_err(|_| broken("the domid is no number"))?;
        let name = domain.value("name").ok_or_else(|| broken("no name"))?;
        let uuid = match domain.value("uuid").ok_or_else(|| broken("no UUID"))? {
            "00000000-0000-0000-0000-000000000000" => None,
            text => Some(Uuid::parse(text).map_err(|_| broken("the UUID is none"))?),
        };
        let zombie = name.strip_prefix("Zombie-");
        let dying = zombie.is_some() || domain.value("state").is_some_and(|s| s.contains('d'));
        rows.push(Row {
            domid,
            name: Some(zombie.unwrap_or(name).to_owned()),
            uuid,
            state: if dying { RowState::Dying } else { RowState::Living },
        });
    }
    Listing::of_rows(rows)
}

/// Reads expressions to the end of the text; one that is not closed spoils everything.
fn parse_sexps(text: &str) -> Result<Vec<Sexp>, ListingError> {
    let mut open: Vec<Vec<Sexp>> = vec![Vec::new()];
    let mut characters = text.chars().peekable();
    let mut line = 1_usize;
    while let Some(character) = characters.next() {
        match character {
            '\n' => line = line.saturating_add(1),
            character if character.is_whitespace() => {}
            '(' => open.push(Vec::new()),
            ')' => {
                let closed = open.pop().unwrap_or_default();
                let what = "a parenthesis too many";
                let parent = open.last_mut().ok_or(ListingError::Row { line, what })?;
                parent.push(Sexp::List(closed));
            }
            first => {
                let quoted = matches!(first, '"' | '\'');
                let mut atom = if quoted { String::new() } else { first.to_string() };
                while let Some(next) = characters.peek().copied() {
                    let ends = if quoted {
                        next == first
                    } else {
                        next.is_whitespace() || matches!(next, '(' | ')')
                    };
                    if ends {
                        break;
                    }
                    atom.push(next);
                    characters.next();
                }
                if quoted && characters.next().is_none() {
                    return Err(ListingError::Cut(line));
                }
                if let Some(parent) = open.last_mut() {
                    parent.push(Sexp::Atom(atom));
                }
            }
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(all), true) => Ok(all),
        _ => Err(ListingError::Cut(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOM0: &str = "(domain\n    (domid 0)\n    (uuid 00000000-0000-0000-0000-000000000000)\n    \
                        (name Domain-0)\n    (state r-----)\n)\n";

    fn guest(name: &str, domid: &str, state: &str) -> String {
        format!(
            "(domain\n    {domid}\n    (on_crash restart)\n    \
             (uuid 7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac)\n    (name {name})\n    (state {state})\n    \
             (image (linux (kernel '/boot/vm linuz') (args \"ro (x)\")))\n)\n"
        )
    }

    #[test]
    fn running_dying_and_halted_domains_are_told_apart() {
        let running = parse(&format!("{DOM0}{}", guest("node1", "(domid 5)", "-b----"))).unwrap();
        assert_eq!((running.rows()[1].domid, running.rows()[1].lives()), (5, true));
        let zombie =
            parse(&format!("{DOM0}{}", guest("Zombie-node1", "(domid 5)", "----cd"))).unwrap();
        assert_eq!(
            (zombie.rows()[1].name.as_deref(), zombie.rows()[1].lives()),
            (Some("node1"), false)
        );
        let halted = parse(&format!("{DOM0}{}", guest("node1", "", "------"))).unwrap();
        assert_eq!(halted.rows().len(), 1);
    }

    #[test]
    fn a_broken_answer_is_no_listing() {
        let whole = format!("{DOM0}{}", guest("node1", "(domid 5)", "-b----"));
        for end in DOM0.len() + 1..whole.trim_end().len() {
            assert!(parse(&whole[..end]).is_err(), "{:?}", &whole[..end]);
        }
        assert_eq!(parse(""), Err(ListingError::Empty));
        assert_eq!(parse(&guest("node1", "(domid 5)", "r-----")), Err(ListingError::NoDom0));
        assert!(parse("Error: Unable to connect to xend\n").is_err());
        assert!(parse(&format!("{DOM0})")).is_err());
    }
}
