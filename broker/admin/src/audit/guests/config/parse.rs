//! From tokens to assignments: xl's grammar (libxlu_cfg_y.y), and what of it is Python as well.

use super::lexer::{Placed, Token, tokens};
use super::{DomainConfig, Doubt, Setting, Value};
use std::collections::btree_map::Entry;

/// Lists in lists deeper than this are nobody's configuration.
const DEEPEST: usize = 8;

/// Keys of xm's that something hangs on here: Python that mentions one may set it to anything.
const MATTERS: [&str; 22] = [
    "name",
    "uuid",
    "disk",
    "vif",
    "vtpm",
    "pci",
    "dtdev",
    "gfx_passthru",
    "vscsi",
    "usb",
    "usbdev",
    "usbctrl",
    "usbdevice",
    "p9",
    "virtio",
    "pvcalls",
    "device_model",
    "device_model_stubdomain_override",
    "on_crash",
    "on_watchdog",
    "on_reboot",
    "on_poweroff",
];
/// Words of Python by which anything may be set without being named.
const SETS_ANYTHING: [&str; 7] =
    ["exec", "execfile", "eval", "globals", "locals", "vars", "setattr"];

/// Reads what xl reads. It refuses a whole file for one line that it does not understand; here the
/// other lines are read all the same.
pub(super) fn xl(text: &str) -> DomainConfig {
    let tokens = tokens(text, false);
    let mut config = DomainConfig::default();
    let mut cursor = Cursor { tokens: &tokens, at: 0 };
    while let Some(placed) = cursor.peek() {
        if matches!(placed.token, Token::End { .. }) {
            cursor.at = cursor.at.saturating_add(1);
            continue;
        }
        let line = placed.line;
        if let Err(at) = cursor.assignment().and_then(|found| config.store(found)) {
            let found = tokens.get(at).map_or(line, |placed| placed.line);
            let why = if found == line {
                "it is nothing that xl reads, and xl refuses the file for it".to_owned()
            } else {
                format!(
                    "what begins here goes wrong in line {found}, and xl refuses the file for it"
                )
            };
            config.doubts.push(Doubt { line, why });
            cursor.at = at;
            cursor.pass_line();
        }
    }
    config
}

/// Reads the plain assignments of a Python program, and says what else may matter.
pub(super) fn xm(text: &str) -> DomainConfig {
    let tokens = tokens(text, true);
    let mut config = DomainConfig::default();
    if let Some(at) = text.find("\"\"\"").or_else(|| text.find("'''")) {
        let before = text.get(..at).unwrap_or_default();
        let why = "a string over several lines begins, and what follows is not told".to_owned();
        config.doubts.push(Doubt { line: before.matches('\n').count().saturating_add(1), why });
    }
    let mut cursor = Cursor { tokens: &tokens, at: 0 };
    while let Some(placed) = cursor.peek() {
        if matches!(placed.token, Token::End { .. }) {
            cursor.at = cursor.at.saturating_add(1);
            continue;
        }
        let (begin, line) = (cursor.at, placed.line);
        let begins_line = tokens.get(..begin).is_none_or(|before| {
            before.last().is_none_or(|last| last.token == Token::End { of_line: true })
        });
        let is_indented = begins_line
            && text.get(..placed.at).is_some_and(|before| before.ends_with([' ', '\t']));
        let plain =
            !is_indented && cursor.assignment().and_then(|found| config.store(found)).is_ok();
        if !plain {
            cursor.at = begin;
            cursor.pass_line();
            let code = tokens.get(begin..cursor.at).unwrap_or_default();
            config.doubts.extend(doubt_of_code(code, line));
        }
    }
    config
}

/// What a line of Python that is no plain assignment leaves open.
fn doubt_of_code(code: &[Placed], line: usize) -> Option<Doubt> {
    let mut words = code.iter().filter_map(|placed| placed.token.word());
    let first = words.clone().next();
    let imports_all = first == Some("from") && code.iter().any(|it| it.token == Token::Other('*'));
    if imports_all || words.clone().any(|word| SETS_ANYTHING.contains(&word)) {
        let why = "it is Python that may set anything, and Python is not run".to_owned();
        return Some(Doubt { line, why });
    }
    // `disk.append` is one word here.
    let key = words.find_map(|word| {
        let stem = word.split('.').next().unwrap_or(word);
        MATTERS.into_iter().find(|key| stem == *key)
    });
    key.map(|key| {
        let why = format!("{key} is set or used by Python here, and Python is not run");
        Doubt { line, why }
    })
}

/// An assignment: its key, whether it adds, and its value.
struct Assignment {
    key: String,
    adds: bool,
    setting: Setting,
    end: usize,
}

impl DomainConfig {
    /// As xl does: the last assignment counts, and `+=` adds to what there is of the same kind.
    fn store(&mut self, found: Assignment) -> Result<(), usize> {
        let Assignment { key, adds, setting, end } = found;
        match self.settings.entry(key) {
            Entry::Occupied(mut there) if adds => {
                match (&mut there.get_mut().value, setting.value) {
                    (Value::Text(text), Value::Text(more)) => text.push_str(&more),
                    (Value::List(items), Value::List(more)) => items.extend(more),
                    (Value::Text(_), Value::List(_)) | (Value::List(_), Value::Text(_)) => {
                        return Err(end);
                    }
                }
            }
            Entry::Occupied(mut there) => {
                there.insert(setting);
            }
            Entry::Vacant(place) => {
                place.insert(setting);
            }
        }
        Ok(())
    }
}

/// A place among the tokens. What fails says at which token.
struct Cursor<'a> {
    tokens: &'a [Placed],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<&'a Placed> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Result<&'a Placed, usize> {
        let placed = self.peek().ok_or(self.at)?;
        self.at = self.at.saturating_add(1);
        Ok(placed)
    }

    /// Past the end of the line that the cursor is on.
    fn pass_line(&mut self) {
        while let Ok(placed) = self.next() {
            if placed.token == (Token::End { of_line: true }) {
                return;
            }
        }
    }

    fn skip_lines(&mut self) {
        while self.peek().is_some_and(|it| it.token == Token::End { of_line: true }) {
            self.at = self.at.saturating_add(1);
        }
    }

    fn assignment(&mut self) -> Result<Assignment, usize> {
        let begin = self.at;
        let key = self.next()?.token.word().ok_or(begin)?;
        let operator = self.at;
        let token = &self.next()?.token;
        let adds = *token == Token::Add;
        if !adds && *token != Token::Assign {
            return Err(operator);
        }
        let line = self.peek().ok_or(self.at)?.line;
        let value = self.value(0)?;
        let end = self.at;
        match self.peek().map(|placed| &placed.token) {
            None | Some(Token::End { .. }) => {
                let setting = Setting { line, value };
                Ok(Assignment { key: key.to_owned(), adds, setting, end })
            }
            Some(_) => Err(end),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, usize> {
        let begin = self.at;
        let token = &self.next()?.token;
        if let Token::Text(text) | Token::Number(text) = token {
            return Ok(Value::Text(text.clone()));
        }
        if *token == Token::Open && depth < DEEPEST { self.list(depth) } else { Err(begin) }
    }

    /// What follows `[`. Lines may end everywhere in it; a comma may stand after the last value.
    fn list(&mut self, depth: usize) -> Result<Value, usize> {
        let mut items = Vec::new();
        loop {
            self.skip_lines();
            let begin = self.peek().ok_or(self.at)?;
            if begin.token == Token::Close {
                self.at = self.at.saturating_add(1);
                return Ok(Value::List(items));
            }
            items.push((begin.line, self.value(depth.saturating_add(1))?));
            self.skip_lines();
            let behind = self.at;
            let token = &self.next()?.token;
            if *token == Token::Close {
                return Ok(Value::List(items));
            }
            if *token != Token::Comma {
                return Err(behind);
            }
        }
    }
}
