//! Reads xl's configuration syntax: plain assignments of strings, numbers and lists.
//!
//! What xl would refuse is refused with xl's kind of words; keys that the stand-in has no use
//! for are read and left alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::disk::{Disk, Vif};

/// What a configuration file says about a domain, as far as the stand-in cares.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Config {
    /// The Xen name.
    pub name: String,
    /// The UUID, made up by `create` where the file has none.
    pub uuid: String,
    /// Whether `type` is `hvm`: such a domain has a device model.
    pub hvm: bool,
    /// MiB.
    pub memory: u64,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// The program that is the domain's PID 1.
    pub kernel: String,
    /// What `xl list -l` shows as the ramdisk; not used.
    pub ramdisk: Option<String>,
    /// Its command line, split on spaces into arguments.
    pub extra: String,
    /// Disks in the order of the file.
    pub disks: Vec<Disk>,
    /// Network interfaces in the order of the file.
    pub vifs: Vec<Vif>,
    /// What the monitor does when the guest powers off.
    pub on_poweroff: String,
    /// What the monitor does when the guest reboots.
    pub on_reboot: String,
    /// What the monitor does when the guest crashes.
    pub on_crash: String,
    /// The file it was read from.
    pub file: String,
}

impl Config {
    /// The domain's host name: `hostname=` in `extra`, else its name.
    pub fn hostname(&self) -> &str {
        self.extra.split(' ').find_map(|word| word.strip_prefix("hostname=")).unwrap_or(&self.name)
    }

    /// The guest's router: in `extra` the third field of `ip=`, as Linux reads it.
    pub fn router(&self) -> Option<&str> {
        let told = self.extra.split(' ').find_map(|word| word.strip_prefix("ip="))?;
        told.split(':').nth(2).filter(|router| !router.is_empty())
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Number(i64),
    List(Vec<String>),
}

/// Parses the text of `file`. The error is what xl prints on stderr.
pub fn parse(file: &str, text: &str) -> Result<Config, String> {
    let values = assignments(file, text)?;
    let text_of = |key: &str| match values.get(key) {
        Some(Value::Text(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::List(_)) | None => None,
    };
    let number_of = |key: &str, default: u64| {
        text_of(key).and_then(|text| text.trim().parse().ok()).unwrap_or(default)
    };
    let list_of = |key: &str| match values.get(key) {
        Some(Value::List(items)) => items.clone(),
        _ => Vec::new(),
    };
    let action = |key: &str, default: &str| {
        let action = text_of(key).unwrap_or_else(|| default.to_owned());
        let known = ["destroy", "restart", "rename-restart", "preserve"];
        let dumps = ["coredump-destroy", "coredump-restart", "soft-reset"];
        if known.contains(&action.as_str()) || dumps.contains(&action.as_str()) {
            return Ok(action);
        }
        Err(format!("Unknown {key} action \"{action}\" specified\n"))
    };
    let name = text_of("name").filter(|name| !name.is_empty());
    Ok(Config {
        name: name.ok_or("Domain name must be specified.\n")?,
        uuid: text_of("uuid").unwrap_or_default().to_lowercase(),
        hvm: text_of("type").or_else(|| text_of("builder")).as_deref() == Some("hvm"),
        memory: number_of("memory", 128),
        vcpus: u32::try_from(number_of("vcpus", 1)).unwrap_or(1),
        kernel: text_of("kernel").unwrap_or_default(),
        ramdisk: text_of("ramdisk"),
        extra: text_of("extra").unwrap_or_default(),
        disks: list_of("disk").iter().map(|spec| Disk::parse(spec)).collect::<Result<_, _>>()?,
        vifs: list_of("vif").iter().map(|spec| Vif::parse(spec)).collect(),
        on_poweroff: action("on_poweroff", "destroy")?,
        on_reboot: action("on_reboot", "restart")?,
        on_crash: action("on_crash", "destroy")?,
        file: file.to_owned(),
    })
}

fn assignments(file: &str, text: &str) -> Result<BTreeMap<String, Value>, String> {
    let mut values = BTreeMap::new();
    let mut scan = Scan { rest: text, line: 1, file };
    loop {
        scan.skip(true);
        if scan.rest.is_empty() {
            return Ok(values);
        }
        if scan.take(';') {
            continue;
        }
        let key = scan.word()?;
        scan.skip(false);
        if !scan.take('=') {
            return Err(scan.error());
        }
        scan.skip(false);
        let value = scan.value()?;
        scan.skip(false);
        if !(scan.rest.is_empty() || scan.rest.starts_with(['\n', ';'])) {
            return Err(scan.error());
        }
        values.insert(key, value);
    }
}

struct Scan<'a> {
    rest: &'a str,
    line: u32,
    file: &'a str,
}

impl Scan<'_> {
    fn error(&self) -> String {
        let near: String = self.rest.chars().take_while(|c| !c.is_whitespace()).take(20).collect();
        format!(
            "{}:{}: config parsing error near `{near}': syntax error\n\
             Failed to parse config: Invalid argument\n",
            self.file, self.line
        )
    }

    fn skip(&mut self, newlines: bool) {
        loop {
            if let Some(comment) = self.rest.strip_prefix('#') {
                self.rest = comment.find('\n').map_or("", |end| &comment[end..]);
            } else if newlines && self.rest.starts_with('\n') {
                self.line += 1;
                self.rest = &self.rest[1..];
            } else if self.rest.starts_with([' ', '\t', '\r']) {
                self.rest = &self.rest[1..];
            } else {
                return;
            }
        }
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.rest.strip_prefix(c);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn word(&mut self) -> Result<String, String> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '-';
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(self.error());
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(word.to_owned())
    }

    fn text(&mut self) -> Result<Option<String>, String> {
        let Some(quote) = self.rest.chars().next().filter(|c| ['"', '\''].contains(c)) else {
            return Ok(None);
        };
        let inner = &self.rest[1..];
        match inner.find([quote, '\n']) {
            Some(end) if inner[end..].starts_with(quote) => {
                self.rest = &inner[end + 1..];
                Ok(Some(inner[..end].to_owned()))
            }
            _ => Err(self.error()),
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        if let Some(text) = self.text()? {
            return Ok(Value::Text(text));
        }
        if !self.take('[') {
            let word = self.word()?;
            return word.parse().map(Value::Number).map_err(|_| self.error());
        }
        let mut items = Vec::new();
        loop {
            self.skip(true);
            if self.take(']') {
                return Ok(Value::List(items));
            }
            let item = match self.text()? {
                Some(text) => text,
                None => self.word()?,
            };
            items.push(item);
            self.skip(true);
            if !self.take(',') && !self.rest.starts_with(']') {
                return Err(self.error());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_node_has() {
        let text = "name = 'a' # me\nuuid=\"0F\"\nmemory = 256; vcpus=2\ndisk = [\n 'phy:/x,xvda,w',\n]\n\
                    vif=['bridge=b,mac=m,ip=10.0.0.1']\nextra = \"hostname=h slot=3\"\n";
        let config = parse("f", text).unwrap();
        assert_eq!((config.name.as_str(), config.uuid.as_str()), ("a", "0f"));
        assert_eq!((config.memory, config.vcpus, config.hostname()), (256, 2, "h"));
        assert_eq!(config.disks[0].path, "/x");
        assert_eq!(config.vifs[0].ip.as_deref(), Some("10.0.0.1"));
        assert_eq!((config.on_reboot.as_str(), config.router()), ("restart", None));
        let routed =
            parse("f", "name = 'a'\nextra = 'ip=::10.0.0.254:255.255.255.0 slot=3'").unwrap();
        assert_eq!(routed.router(), Some("10.0.0.254"));
    }

    #[test]
    fn refuses_what_xl_refuses() {
        assert!(parse("f", "name = \"a\n").unwrap_err().contains("f:1: config parsing error"));
        assert!(parse("f", "\nname \"a\"").unwrap_err().contains("f:2:"));
        assert!(parse("f", "memory = 1").unwrap_err().contains("name must be"));
        assert!(parse("f", "name='a'\ndisk=['phy:/x,xvda,w!']").unwrap_err().contains("access"));
        assert!(parse("f", "name='a'\non_reboot='explode'").is_err());
    }
}
