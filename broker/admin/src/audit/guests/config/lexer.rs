//! The tokens of a domain's configuration, as xl's lexer cuts them (libxlu_cfg_l.l).
//!
//! Whatever the text is, there is an end of it: what is no token is one of its own kind.

use std::iter::Peekable;
use std::str::CharIndices;

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name: `disk`.
    Word(String),
    /// A number, as it is written.
    Number(String),
    /// What stands between quotes.
    Text(String),
    /// `[`
    Open,
    /// `]`
    Close,
    /// `,`
    Comma,
    /// `=`
    Assign,
    /// `+=`
    Add,
    /// The end of a line or `;`.
    End {
        /// Whether it is the end of a line.
        of_line: bool,
    },
    /// Anything else.
    Other(char),
}

impl Token {
    /// The name that it is, if it is one.
    pub(super) fn word(&self) -> Option<&str> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }
}

/// A token, the line on which it begins, and where in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) line: usize,
    pub(super) at: usize,
}

/// Cuts a text into tokens.
pub(super) fn tokens(text: &str, python: bool) -> Vec<Placed> {
    let mut lexer = Lexer { chars: text.char_indices().peekable(), python };
    let (mut found, mut line) = (Vec::new(), 1_usize);
    while let Some((at, first)) = lexer.chars.next() {
        let token = match first {
            ' ' | '\t' => continue,
            '#' => {
                lexer.rest_of_line();
                continue;
            }
            first => lexer.token(first),
        };
        let ends_line = token == Token::End { of_line: true };
        found.push(Placed { token, line, at });
        if ends_line {
            line = line.saturating_add(1);
        }
    }
    found
}

struct Lexer<'a> {
    chars: Peekable<CharIndices<'a>>,
    /// xm's configurations have Python's names, and lines that end as Windows ends them.
    python: bool,
}

impl Lexer<'_> {
    fn token(&mut self, first: char) -> Token {
        let python = self.python;
        let begins_word =
            |c: char| c.is_ascii_lowercase() || (python && (c.is_alphabetic() || c == '_'));
        match first {
            '\n' => Token::End { of_line: true },
            '\r' if python && self.next_is('\n') => {
                self.chars.next();
                Token::End { of_line: true }
            }
            ';' => Token::End { of_line: false },
            '[' => Token::Open,
            ']' => Token::Close,
            ',' => Token::Comma,
            '=' => Token::Assign,
            '+' if self.next_is('=') => {
                self.chars.next();
                Token::Add
            }
            '\'' | '"' => self.text(first).map_or(Token::Other(first), Token::Text),
            first if begins_word(first) => {
                let goes_on = |c: char| {
                    c.is_ascii_lowercase()
                        || c.is_ascii_digit()
                        || matches!(c, '_' | '.')
                        || (python && c.is_alphanumeric())
                };
                Token::Word(self.run(first, goes_on))
            }
            first if first.is_ascii_digit() => {
                let goes_on = |c: char| matches!(c, '0'..='9' | 'a'..='f' | 'x');
                Token::Number(self.run(first, goes_on))
            }
            first => Token::Other(first),
        }
    }

    fn next_is(&mut self, wanted: char) -> bool {
        self.chars.peek().is_some_and(|(_, c)| *c == wanted)
    }

    fn run(&mut self, first: char, goes_on: impl Fn(char) -> bool) -> String {
        let mut run = String::from(first);
        while let Some((_, c)) = self.chars.next_if(|(_, c)| goes_on(*c)) {
            run.push(c);
        }
        run
    }

    fn rest_of_line(&mut self) {
        while self.chars.next_if(|(_, c)| *c != '\n').is_some() {}
    }

    /// What stands before the closing quote; nothing if the line ends first, or at an escape by number,
    /// which xl and Python read in ways of their own.
    fn text(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        loop {
            let (_, c) = self.chars.next_if(|(_, c)| *c != '\n')?;
            match c {
                c if c == quote => return Some(text),
                '\\' => match self.chars.next_if(|(_, c)| *c != '\n')?.1 {
                    c @ ('\\' | '\'' | '"') => text.push(c),
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    _ => return None,
                },
                c => text.push(c),
            }
        }
    }
}
