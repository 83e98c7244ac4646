//! A namespace of its own for each test, with the stand-in installed as xl and two nodes.
//!
//! Nothing of it is seen outside, and all of it ends when the [`Lab`] is dropped. Needs root.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

/// Mounts, installs and configures; then its shell waits, as PID 1, for its input to end.
const SETUP: &str = r#"set -e
mount -t proc proc /proc
mkdir -p /var/lib/stand-in /var/log/xen /etc/xen /run/lock
for d in /var/lib/stand-in /var/log/xen /etc/xen /run/lock /mnt; do mount -t tmpfs tmpfs $d; done
mkdir /mnt/bin /mnt/lab /mnt/disks
for n in xl xm xenstore-ls xenstore-read stand-in; do cp "$STAND_IN" /mnt/bin/$n; done
cp "$GUEST" /mnt/lab/vmlinux; touch /mnt/lab/initrd-domu
ip link set lo up
for n in 1 2; do
truncate -s 64K /mnt/disks/$n
[ $n = 1 ] && uuid=7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac || uuid=06344ce4-c977-4f26-804a-519a3e81bf71
cat > /etc/xen/node$n.cfg <<END
name = "node$n"
uuid = "$uuid"
type = "pv"
memory = 128
vcpus = 1
kernel = "/mnt/lab/vmlinux"
ramdisk = "/mnt/lab/initrd-domu"
extra = "console=hvc0 quiet panic=1000 node=node$n slot=$n"
disk = ["phy:/mnt/disks/$n,xvda,w"]
END
done
echo ready
read -r wait || true
"#;

/// A machine of its own.
pub struct Lab {
    // Its closed input ends the machine.
    holder: Child,
    inside: String,
}

/// What a command did.
pub struct Seen {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Lab {
    /// A new machine; the first domid is `first`, as in the transcript that is replayed.
    pub fn new(first: u32) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "these tests make namespaces: run them as root");
        let mut holder = Command::new("unshare")
            .args(["-mpnf", "--kill-child", "--propagation", "private", "bash", "-c", SETUP])
            .env("STAND_IN", env!("CARGO_BIN_EXE_stand-in"))
            .env("GUEST", env!("CARGO_BIN_EXE_guest"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare (package util-linux)");
        let mut line = String::new();
        let out = holder.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("a line from the machine");
        assert_eq!(line, "ready\n", "the machine did not come up");
        let id = holder.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let inside = children.expect("the machine's PID 1").trim().to_owned();
        let lab = Self { holder, inside };
        lab.sh(&format!("echo {first} > /var/lib/stand-in/next-domid"));
        lab
    }

    /// Runs a shell command in the machine.
    pub fn sh(&self, command: &str) -> Seen {
        let Output { status, stdout, stderr } = Command::new("nsenter")
            .args(["-t", &self.inside, "-m", "-p", "-n", "--", "bash", "-c", command])
            .env("PATH", "/mnt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .expect("nsenter (package util-linux)");
        Seen {
            code: status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&stdout).into_owned(),
            err: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Runs a command that must succeed; its output.
    pub fn ok(&self, command: &str) -> String {
        let seen = self.sh(command);
        assert_eq!(seen.code, 0, "{command}: {}{}", seen.out, seen.err);
        seen.out
    }

    /// Replays a transcript: command, exit code, standard output and error.
    pub fn replay(&self, command: &str, code: i32, out: &str, err: &str) {
        let seen = self.sh(command);
        assert_eq!(normal(&seen.out), normal(out), "{command}: output; stderr: {}", seen.err);
        assert_eq!(normal(&seen.err), normal(err), "{command}: stderr");
        assert_eq!(seen.code, code, "{command}: exit code");
    }

    /// The sector that a node writes.
    pub fn sector(&self, disk: u32, slot: u32) -> String {
        let dd = format!("dd if=/mnt/disks/{disk} bs=512 skip={slot} count=1 2>/dev/null");
        self.ok(&dd).trim_matches(['\0', ' ', '\n']).to_owned()
    }

    /// Waits until a node has written.
    pub fn until_written(&self, disk: u32, slot: u32) {
        self.ok(&format!(
            "dd if=/dev/zero of=/mnt/disks/{disk} bs=512 seek={slot} count=1 conv=notrunc"
        ));
        for _ in 0..200 {
            if !self.sector(disk, slot).is_empty() {
                return;
            }
        }
        panic!("node{disk} does not write");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// What may differ from a transcript: CPU seconds, whether a guest sleeps just now, the process
/// id of a script, and where the lab's files are.
fn normal(text: &str) -> String {
    let text = text.replace("/mnt/disks/", "/dev/loop").replace("/mnt/lab/", "/lab/");
    let mut lines = String::new();
    for line in text.split_inclusive('\n') {
        match (line.get(..58), line.get(58..63), line.get(63..69), line.get(71..79)) {
            (Some(front), Some("     "), Some(state), Some(time)) if time.contains('.') => {
                let state = if state == "-b----" { "------" } else { state };
                let rest = line.get(79..).unwrap_or_default();
                lines.push_str(&format!("{front}     {state}         T{rest}"));
            }
            _ => match line.split_once("block add [") {
                Some((front, rest)) => {
                    let rest = rest.split_once(']').map_or(rest, |(_, rest)| rest);
                    lines.push_str(&format!("{front}block add [PID]{rest}"));
                }
                None => lines.push_str(line),
            },
        }
    }
    lines
}
