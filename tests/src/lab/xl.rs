//! xl in the lab's dom0: who runs it, what the broker calls it for, and the lock of its creates.

use super::{Lab, Result};

/// Where the calls of xl are noted.
const CALLS: &str = "/run/xl.calls";

impl Lab {
    /// Has each xl that is started from now on take xl's own lock for a create, as it does where it
    /// takes memory from dom0. (Debian's xl of 4.17 takes none where dom0's memory is fixed.)
    #[track_caller]
    pub fn creates_take_xls_lock(&self) {
        let _ = self.sh("echo 'autoballoon=\"on\"' >>/etc/xen/xl.conf").exits(0);
    }

    /// Takes xl's own lock in dom0 as a create does: every other create waits.
    #[track_caller]
    pub fn hold_xls_lock(&self) {
        let hold = "import fcntl, time; lock = open('/var/lock/xl', 'w'); \
                    fcntl.lockf(lock, fcntl.LOCK_EX); open('/run/held', 'w').close(); time.sleep(900)";
        let _ = self.sh(&format!(
            "rm -f /run/held; python3 -c \"{hold}\" </dev/null >/dev/null 2>&1 & echo $! >/run/holder
             until [ -e /run/held ]; do sleep 0.05; done"
        ));
    }

    /// Gives xl's own lock back.
    #[track_caller]
    pub fn let_go_xls_lock(&self) {
        let _ = self.sh("kill $(cat /run/holder)").exits(0);
    }

    /// The xl processes in dom0 that hold xl's lock or wait for it, with their arguments.
    #[must_use]
    #[track_caller]
    pub fn creates_at_xls_lock(&self) -> Vec<String> {
        self.xl_processes_that("readlink /proc/$pid/fd/* | grep -q /lock/xl$")
    }

    /// The xl processes in dom0 that name a node's configuration or write its log: its monitor, or
    /// a create.
    #[must_use]
    #[track_caller]
    pub fn xl_processes_of(&self, node: &str) -> Vec<String> {
        let node = self.node(node);
        let log = format!("xl-{}.log", node.domain);
        self.xl_processes_that(&format!(
            "grep -qF {} /proc/$pid/cmdline || readlink /proc/$pid/fd/* | grep -qF {log}",
            node.config()
        ))
    }

    #[track_caller]
    fn xl_processes_that(&self, holds: &str) -> Vec<String> {
        let script = format!(
            "for pid in $(pgrep -x xl); do
                {{ {holds}; }} && echo $pid $(tr '\\0' ' ' </proc/$pid/cmdline)
            done"
        );
        self.sh(&script).stdout.lines().map(str::to_owned).collect()
    }

    /// Has the broker's calls of xl noted from now on.
    ///
    /// # Errors
    /// If dom0 does not do it.
    pub fn note_calls_of_xl(&self) -> Result<()> {
        let script = format!(
            "xl=$(echo /usr/lib/xen-*/bin/xl)
             printf '#!/bin/sh\\necho \"$*\" >>{CALLS}\\nexec %s \"$@\"\\n' \"$xl\" >/usr/local/sbin/xl
             chmod 755 /usr/local/sbin/xl
             echo 'xl = \"/usr/local/sbin/xl\"' >/etc/xen-fence/broker.toml"
        );
        self.sh(&script).succeeded().map(drop)
    }

    /// The broker's calls of xl since this was asked last.
    ///
    /// # Panics
    /// If dom0 does not answer.
    #[must_use]
    #[track_caller]
    pub fn calls_of_xl(&self) -> Vec<String> {
        let calls = self.sh(&format!("cat {CALLS}; rm -f {CALLS}")).stdout;
        calls.lines().map(str::to_owned).collect()
    }
}
