//! The one form in which sshd may start the launcher, and what becomes of it. Pure.

use std::ffi::{OsStr, OsString};
use std::fmt;
use xen_fence_protocol::{EXEC_COMMAND, NodeName};

/// What is handed to sudo, every part of it understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Launch {
    caller: String,
    key: String,
    connection: Option<String>,
}

impl Launch {
    /// The whole environment of sudo: the three variables that the sudo rule keeps.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("XEN_FENCE_CALLER", Some(self.caller.as_str())),
            ("XEN_FENCE_KEY", Some(self.key.as_str())),
            ("SSH_CONNECTION", self.connection.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// It was started in another way: by somebody who logged in by hand, or by a wrong key line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Help;

impl fmt::Display for Help {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this account only answers the xen-fence agent; in a node of the cluster, run \
             `xen-fence check` to see whether it does",
        )
    }
}

/// Reads arguments and environment as sshd sets them.
///
/// `arguments` are those after the program's own name: `-c` and the key line's command.
pub(crate) fn read(
    arguments: &[OsString],
    original: Option<&OsStr>,
    connection: Option<&OsStr>,
) -> Result<Launch, Help> {
    let [flag, command] = arguments else { return Err(Help) };
    if flag != "-c" || original != Some(OsStr::new(EXEC_COMMAND)) {
        return Err(Help);
    }
    let command = command.to_str().ok_or(Help)?;
    let mut words = command.split(' ');
    let (Some("xen-fence"), Some(kind), Some(name), Some(key), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Help);
    };
    if !matches!(kind, "node" | "operator") || !is_fingerprint(key) {
        return Err(Help);
    }
    let name = NodeName::parse(name).map_err(|_| Help)?;
    let connection = connection.and_then(OsStr::to_str).filter(|text| is_connection(text));
    Ok(Launch {
        caller: format!("{kind} {name}"),
        key: key.to_owned(),
        connection: connection.map(ToOwned::to_owned),
    })
}

/// `SHA256:` and 43 characters of base64; whether it is the right one is the broker's business.
fn is_fingerprint(text: &str) -> bool {
    text.strip_prefix("SHA256:").is_some_and(|digest| {
        digest.len() == 43
            && digest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
    })
}

/// Two addresses and two ports; an IPv6 address may carry a scope, such as `%eth0`.
fn is_connection(text: &str) -> bool {
    text.len() <= 256
        && text.split(' ').count() == 4
        && text.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b' ' | b'.' | b':' | b'%' | b'-' | b'_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt as _;

    const KEY: &str = "SHA256:U/Qb9WEnDFN32kbA4/khJpQ2marLSF/jYL4pz1f26hk";
    const CONNECTION: &str = "192.168.2.11 51234 192.168.2.1 2422";

    fn asked(arguments: &[&str], original: Option<&str>) -> Result<Launch, Help> {
        let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
        read(&arguments, original.map(OsStr::new), Some(OsStr::new(CONNECTION)))
    }

    #[test]
    fn the_key_lines_command_becomes_three_variables() {
        for caller in ["node node1", "operator nagios", "node Web-1.example_x"] {
            let command = format!("xen-fence {caller} {KEY}");
            let launch = asked(&["-c", &command], Some("xen-fence/1")).unwrap();
            let environment: Vec<_> = launch.environment().collect();
            assert_eq!(
                environment,
                [
                    ("XEN_FENCE_CALLER", caller),
                    ("XEN_FENCE_KEY", KEY),
                    ("SSH_CONNECTION", CONNECTION)
                ]
            );
        }
    }

    #[test]
    fn any_other_command_gets_help() {
        let good = format!("xen-fence node node1 {KEY}");
        let long = format!("xen-fence node {} {KEY}", "n".repeat(65));
        for command in [
            "",
            " ",
            "xen-fence/1",
            "/bin/sh",
            "xen-fence",
            "xen-fence node node1",
            &format!("{good} more"),
            &format!("{good} "),
            &format!(" {good}"),
            &format!("{good}\n"),
            &good.replace(' ', "  "),
            &good.replace("node node1", "root node1"),
            &good.replace("node node1", "Node node1"),
            &good.replace("node1", "-f"),
            &good.replace("node1", "../x"),
            &good.replace("node1", "$(id)"),
            &good.replace("SHA256:", "MD5:"),
            &good.replace("hk", ""),
            &good.replace("hk", "hk="),
            &good.replace("hk", "h;"),
            &long,
        ] {
            assert_eq!(asked(&["-c", command], Some("xen-fence/1")), Err(Help), "{command:?}");
        }
    }

    #[test]
    fn any_other_arguments_get_help() {
        let good = format!("xen-fence node node1 {KEY}");
        for arguments in
            [&[][..], &["-c"], &["-c", &good, "x"], &["-l", &good], &[&good], &["--help"], &["-i"]]
        {
            assert_eq!(asked(arguments, Some("xen-fence/1")), Err(Help), "{arguments:?}");
        }
    }

    #[test]
    fn any_other_request_of_the_client_gets_help() {
        let good = format!("xen-fence node node1 {KEY}");
        for original in [
            None,
            Some(""),
            Some("xen-fence/2"),
            Some("xen-fence/1 "),
            Some("xen-fence/1\n"),
            Some("sh"),
            Some("internal-sftp"),
        ] {
            assert_eq!(asked(&["-c", &good], original), Err(Help), "{original:?}");
        }
    }

    #[test]
    fn other_bytes_than_utf8_get_help_and_no_panic() {
        let bytes = OsString::from_vec(b"xen-fence node n\xff SHA256:x".to_vec());
        let dash_c = OsString::from("-c");
        let one = OsStr::new("xen-fence/1");
        assert_eq!(read(&[dash_c.clone(), bytes.clone()], Some(one), None), Err(Help));
        assert_eq!(read(&[bytes.clone(), dash_c.clone()], Some(one), None), Err(Help));
        assert_eq!(read(&[dash_c, "x".into()], Some(&bytes), None), Err(Help));
    }

    #[test]
    fn a_connection_that_is_none_is_left_out() {
        let arguments = [OsString::from("-c"), format!("xen-fence node node1 {KEY}").into()];
        let with = |connection: Option<&str>| {
            read(&arguments, Some(OsStr::new("xen-fence/1")), connection.map(OsStr::new))
                .unwrap()
                .connection
        };
        assert_eq!(with(Some("fe80::1%eth0 1 fe80::2%eth0 22")).as_deref().map(str::len), Some(30));
        assert_eq!(with(None), None);
        for bad in ["", "() { :; }; x", "1 2 3", "1 2 3 4 5", "a\nb 1 c 2", "ä 1 b 2"] {
            assert_eq!(with(Some(bad)), None, "{bad:?}");
        }
    }
}
