//! What xenstore says of disks. It may only add doubt: its entries vanish before the domain does.

use crate::command;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A look into xenstore ends after this; without it, doubt stays.
const LIMIT: Duration = Duration::from_secs(5);

/// The disks that backends in dom0 serve, each with the domid that it serves.
///
/// # Errors
/// A sentence, if `xenstore-ls` does not answer. That there are no backends at all is an answer.
pub(crate) fn backend_disks() -> Result<Vec<(u32, PathBuf)>, String> {
    Ok(list("/local/domain/0/backend")?.lines().filter_map(disk).collect())
}

/// Everything that xenstore has of a domain's devices, one entry a line. That there is nothing is an
/// answer.
///
/// # Errors
/// A sentence, if `xenstore-ls` does not answer.
pub(crate) fn devices(domid: u32) -> Result<String, String> {
    list(&format!("/local/domain/{domid}/device"))
}

fn list(path: &str) -> Result<String, String> {
    let program = ["/usr/bin/xenstore-ls", "/usr/sbin/xenstore-ls"]
        .into_iter()
        .map(Path::new)
        .find(|path| path.is_file())
        .unwrap_or_else(|| Path::new("/usr/bin/xenstore-ls"));
    let done = command::run(program, &["-f", path], LIMIT).map_err(|error| error.to_string())?;
    if done.status.success() || done.stderr.contains("No such file or directory") {
        return Ok(done.stdout);
    }
    Err(format!("xenstore-ls: {}: {}", done.ending(), done.last_words()))
}

/// Reads `/local/domain/0/backend/KIND/DOMID/DEVICE/params = "aio:/srv/x.img"`.
fn disk(line: &str) -> Option<(u32, PathBuf)> {
    let (path, value) = line.split_once(" = ")?;
    let mut parts = path.strip_prefix("/local/domain/0/backend/")?.split('/').skip(1);
    let domid = parts.next()?.parse().ok()?;
    let key = parts.nth(1)?;
    if !matches!(key, "params" | "tapdisk-params") || parts.next().is_some() {
        return None;
    }
    let value = value.trim().trim_matches('"');
    let at = value.find('/')?;
    Some((domid, PathBuf::from(value.get(at..)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_found_by_domid() {
        let table = [
            (
                "/local/domain/0/backend/vbd/5/51712/params = \"/dev/loop1\"",
                Some((5, "/dev/loop1")),
            ),
            (
                "/local/domain/0/backend/tap/7/51712/tapdisk-params = \"aio:/srv/x\"",
                Some((7, "/srv/x")),
            ),
            ("/local/domain/0/backend/vbd/5/51712/type = \"phy\"", None),
            ("/local/domain/0/backend/vbd/5 = \"\"", None),
            ("/local/domain/0/backend/vbd/x/51712/params = \"/dev/loop1\"", None),
            ("/local/domain/0/backend/vbd/5/51712/params = \"\"", None),
            ("garbage", None),
        ];
        for (line, expected) in table {
            let expected = expected.map(|(domid, path)| (domid, PathBuf::from(path)));
            assert_eq!(disk(line), expected, "{line}");
        }
    }
}
