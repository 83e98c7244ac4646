//! Files of /etc that some distributions ship in /usr/etc, where they count until somebody puts one of his own
//! into /etc.

use std::path::Path;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared {
    own: &'static str,
    shipped: &'static str,
}

/// The settings of the host's own sshd.
pub(crate) const SSHD: Shared =
    Shared { own: "/etc/ssh/sshd_config", shipped: "/usr/etc/ssh/sshd_config" };
/// Where names come from (nsswitch.conf(5)).
pub(crate) const NSSWITCH: Shared =
    Shared { own: "/etc/nsswitch.conf", shipped: "/usr/etc/nsswitch.conf" };
/// sudo's rules.
pub(crate) const SUDOERS: Shared = Shared { own: "/etc/sudoers", shipped: "/usr/etc/sudoers" };

impl Shared {
    /// The one that counts on this host.
    pub(crate) fn file(self) -> &'static str {
        let is_shipped = !Path::new(self.own).exists() && Path::new(self.shipped).exists();
        if is_shipped { self.shipped } else { self.own }
    }

    /// A command that changes the file, so that it leaves the distribution's own as it is: the next upgrade
    /// would take the change away.
    pub(crate) fn in_etc(self, command: String) -> String {
        let is_it = |word: &str| word.trim_end_matches(';') == self.shipped;
        if !command.starts_with("sed -i ") && !command.starts_with("echo ")
            || !command.split(' ').any(is_it)
        {
            return command;
        }
        let word = |word: &str| {
            if is_it(word) { word.replace(self.shipped, self.own) } else { word.to_owned() }
        };
        let changed: Vec<String> = command.split(' ').map(word).collect();
        // One that an earlier change has put there stays.
        let (own, shipped, changed) = (self.own, self.shipped, changed.join(" "));
        format!("{{ test -e {own} || cp -p {shipped} {own}; }} && {changed}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_is_copied_and_not_changed() {
        for (command, wanted) in [
            (
                "sed -i '1i DenyUsers x' /usr/etc/ssh/sshd_config; systemctl reload sshd",
                "{ test -e /etc/ssh/sshd_config || \
                 cp -p /usr/etc/ssh/sshd_config /etc/ssh/sshd_config; } && sed -i '1i DenyUsers x' /etc/ssh/sshd_config; systemctl reload sshd",
            ),
            ("sed -i 1d /etc/ssh/sshd_config", "sed -i 1d /etc/ssh/sshd_config"),
            ("sed -i 1d /usr/etc/ssh/sshd_config.d/a", "sed -i 1d /usr/etc/ssh/sshd_config.d/a"),
            (
                "/usr/sbin/sshd -T -f /usr/etc/ssh/sshd_config",
                "/usr/sbin/sshd -T -f /usr/etc/ssh/sshd_config",
            ),
        ] {
            assert_eq!(SSHD.in_etc(command.to_owned()), wanted);
        }
    }

    #[test]
    fn the_second_change_keeps_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let [own, shipped] = ["own", "shipped"].map(|name| {
            let path = dir.path().join(name).display().to_string();
            &*Box::leak(path.into_boxed_str())
        });
        std::fs::write(shipped, "one\n").unwrap();
        for word in ["two", "three"] {
            let command = (Shared { own, shipped }).in_etc(format!("echo {word} >> {shipped}"));
            let done = std::process::Command::new("/bin/sh").args(["-c", &command]).status();
            assert!(done.unwrap().success(), "{command}");
        }
        let text = |path: &str| std::fs::read_to_string(path).unwrap();
        assert_eq!((text(own).as_str(), text(shipped).as_str()), ("one\ntwo\nthree\n", "one\n"));
    }
}
