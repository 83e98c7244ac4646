//! One Heartbeat cluster of two nodes: its files in dom0, its daemons in the domains, what it says, and
//! what can befall it.

use super::lines::{Line, clock, read};
use crate::{Dom0, within};
use std::time::{Duration, Instant};

pub(super) const HEARTBEAT: &str = "/usr/libexec/heartbeat/heartbeat";

/// The first node's resource at home, and the second's.
pub(super) const RESOURCES: [&str; 2] = ["first", "second"];

/// `writer FILE start|stop|status`: it writes where it runs, a number, and the kernel's uptime, without a
/// pause that a command would take.
const WRITER: &str = "#!/bin/bash\n\
    pid=/run/writer-${1##*/}\n\
    case $2 in\n\
    status) kill -0 \"$(cat $pid 2>/dev/null)\" 2>/dev/null && echo running || echo stopped ;;\n\
    start) setsid \"$0\" \"$1\" write </dev/null >/dev/null 2>&1 & echo $! >$pid ;;\n\
    stop) kill -KILL \"$(cat $pid)\" 2>/dev/null; rm -f $pid; true ;;\n\
    write) n=0; node=$(uname -n); exec 3<><(:)\n\
    while n=$((n + 1)); do read -r up _ </proc/uptime; echo \"$node $n $up\" >>$1; read -rt 0.02 -u 3; done ;;\n\
    esac\n";

/// Long enough for a Heartbeat that begins, waits for its peer and has its resource back.
pub(super) const LONG: Duration = Duration::from_secs(40);

/// A node of a cluster, and the dom0 that it is at home on.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) dom0: &'a Dom0,
    pub(super) cluster: &'static str,
    pub(super) name: &'static str,
}

impl Member<'_> {
    fn own(&self) -> String {
        format!("/srv/heartbeat/{}/{}", self.cluster, self.name)
    }

    /// Heartbeat's own log, of all the node's lives.
    pub(super) fn log(&self) -> String {
        self.dom0.file(&format!("{}/ha-log", self.own()))
    }

    /// Its life; none while it has none.
    pub(super) fn domid(&self) -> Option<u32> {
        self.dom0.domid(self.cluster, self.name)
    }

    /// Every process of it stands still, as under a kernel that hangs.
    pub(super) fn freeze(&self) {
        let _ = self.dom0.on(&["xl", "pause", &format!("{}-{}", self.cluster, self.name)]).exits(0);
    }

    /// Its network is gone, on the side that it cannot see.
    pub(super) fn unplug(&self) {
        let vif = format!("vif{}.0", self.domid().unwrap());
        let _ = self.dom0.on(&["ip", "link", "set", &vif, "down"]).exits(0);
    }

    /// Heartbeat is gone, all of it at once. What it started goes on.
    pub(super) fn kill_heartbeat(&self) {
        let words = ["pkill", "-KILL", "-x", "heartbeat"];
        let _ = self.dom0.in_node(self.cluster, self.name).run(&words).exits(0);
    }
}

/// A cluster that runs.
pub(super) struct Cluster<'a> {
    pub(super) members: [Member<'a>; 2],
}

/// How it stood before something went wrong, and when that was.
pub(super) struct Before {
    pub(super) at: Instant,
    /// The same on the boot clock, in ms.
    pub(super) up: u64,
    pub(super) kills: usize,
    pub(super) lives: [Option<u32>; 2],
    pub(super) lines: [usize; 2],
    logs: [usize; 2],
}

impl<'a> Cluster<'a> {
    /// Has every node boot with Heartbeat from now on, and starts it in those that run.
    pub(super) fn start(members: [Member<'a>; 2], dom0s: &str) -> Self {
        let cluster = Self { members };
        for member in members {
            cluster.furnish(member, dom0s);
        }
        for Member { dom0, cluster, name } in members {
            let boot = format!("/srv/heartbeat/{cluster}/{name}/boot");
            let _ = dom0.in_node(cluster, name).run(&[&boot]).exits(0);
        }
        cluster
    }

    /// Its name, which is its account's and its policy's.
    pub(super) fn title(&self) -> &'static str {
        self.members[0].cluster
    }

    fn furnish(&self, member: Member<'_>, dom0s: &str) {
        let Member { dom0, cluster, name } = member;
        let (own, node) = (member.own(), dom0.node(cluster, name));
        let peer = self.peer_of(member);
        let address = &peer.dom0.node(cluster, peer.name).address;
        let copied = format!(
            "mkdir -p {own}; cp -a /etc/ha.d {own}/; cp -a /var/lib/heartbeat {own}/lib; touch {own}/ha-log"
        );
        let _ = dom0.sh(&copied).exits(0);
        let [first, second] = self.members.map(|member| member.name);
        let settings = format!(
            "udpport 694\nkeepalive 100ms\nwarntime 2\ndeadtime 3\ninitdead 8\nucast eth0 {address}\n\
             auto_failback on\ncrm no\nuse_logd off\nlogfacility none\nlogfile {own}/ha-log\n\
             stonith_host * external/xen-fence {dom0s}\nnode {first} {second}\n"
        );
        let resources: String = [first, second]
            .iter()
            .zip(RESOURCES)
            .map(|(node, resource)| format!("{node} writer::{}\n", path(cluster, resource)))
            .collect();
        // What of Heartbeat is a node's own: its settings, its state, its sockets.
        let boot = format!(
            "#!/bin/sh\nexec unshare --mount sh -c 'mount --bind {etc} /etc/xen-fence\n\
             mount --bind {own}/ha.d /etc/ha.d; mount --bind {own}/lib /var/lib/heartbeat\n\
             mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /dev/shm\n\
             mkdir -p /run/heartbeat/ccm /run/heartbeat/crm /run/heartbeat/rsctmp\n\
             chown -R hacluster:haclient /run/heartbeat\n\
             {HEARTBEAT} </dev/null >>{own}/out 2>&1'\n",
            etc = node.etc()
        );
        for (file, text, mode) in [
            ("ha.d/ha.cf", settings.as_str(), 0o644),
            ("ha.d/haresources", &resources, 0o644),
            ("ha.d/authkeys", "auth 1\n1 sha1 secret\n", 0o600),
            ("ha.d/resource.d/writer", WRITER, 0o755),
            ("boot", &boot, 0o755),
        ] {
            dom0.write(&format!("{own}/{file}"), text, mode);
        }
        let config = dom0.file(&node.config());
        let booting = config.replacen("extra = \"", &format!("extra = \"run={own}/boot "), 1);
        assert_ne!(config, booting);
        dom0.write(&node.config(), booting, 0o644);
    }

    pub(super) fn peer_of(&self, member: Member<'_>) -> Member<'a> {
        let [first, second] = self.members;
        if member.name == first.name { second } else { first }
    }

    /// What a resource has written so far, wherever it ran.
    pub(super) fn lines(&self, resource: &str) -> Vec<Line> {
        let path = path(self.title(), resource);
        let texts: Vec<String> = self.dom0s().iter().map(|dom0| dom0.file(&path)).collect();
        read(&texts)
    }

    fn dom0s(&self) -> Vec<&'a Dom0> {
        let [first, second] = self.members.map(|member| member.dom0);
        if first.name() == second.name() { vec![first] } else { vec![first, second] }
    }

    /// Who was killed so far, in that order, by the records of all dom0s.
    pub(super) fn kills(&self) -> Vec<String> {
        self.deaths().into_iter().map(|(node, _)| node).collect()
    }

    /// The same, and when each death was put on record, in ms of the boot clock: the dom0s of a test are on
    /// one machine.
    pub(super) fn deaths(&self) -> Vec<(String, u64)> {
        let journals = self.dom0s().into_iter().map(|dom0| dom0.journal(self.title()));
        let killed = journals.flatten().filter(|record| record["result"] == "fenced killed");
        let node =
            |record: &serde_json::Value| record["node"].as_str().unwrap_or_default().to_owned();
        let at = |record: &serde_json::Value| record["up_ms"].as_u64().unwrap_or_default();
        let mut killed: Vec<_> = killed.map(|record| (node(&record), at(&record))).collect();
        killed.sort_by_key(|(_, at)| *at);
        killed
    }

    /// The node of this name, and the other one.
    pub(super) fn by_survivor(&self, name: &str) -> (Member<'a>, Member<'a>) {
        let [first, second] = self.members;
        if name == first.name { (first, second) } else { (second, first) }
    }

    /// What a node has at home.
    pub(super) fn resource_of(&self, member: Member<'_>) -> &'static str {
        RESOURCES[self.place_of(member)]
    }

    fn place_of(&self, member: Member<'_>) -> usize {
        usize::from(member.name != self.members[0].name)
    }

    /// Waits until each node writes what it has at home, and has seen the other, since then if that is given.
    #[track_caller]
    pub(super) fn is_whole(&self, since: Option<&Before>) {
        let at_home = |member: &Member<'_>| {
            let lines = self.lines(self.resource_of(*member));
            lines.last().is_some_and(|line| line.node == member.name)
        };
        let joined = |member: &Member<'_>| {
            let peer = self.peer_of(*member).name;
            let log = since.map_or_else(|| member.log(), |before| self.said_since(before, *member));
            log.contains(&format!("Status update for node {peer}: status active"))
        };
        let is_whole = || self.members.iter().all(|member| at_home(member) && joined(member));
        assert!(within(LONG, is_whole), "the cluster did not come up\n{}", self.said());
    }

    /// What a node's Heartbeat has said since then.
    pub(super) fn said_since(&self, before: &Before, member: Member<'_>) -> String {
        member.log().split_off(before.logs[self.place_of(member)])
    }

    pub(super) fn before(&self) -> Before {
        Before {
            kills: self.kills().len(),
            lives: self.members.map(|member| member.domid()),
            logs: self.members.map(|member| member.log().len()),
            lines: RESOURCES.map(|resource| self.lines(resource).len()),
            at: Instant::now(),
            up: std::fs::read_to_string("/proc/uptime").ok().and_then(|up| clock(&up)).unwrap(),
        }
    }

    /// What both nodes' Heartbeats have said.
    pub(super) fn said(&self) -> String {
        let of = |member: Member<'_>| {
            let out = member.dom0.file(&format!("{}/out", member.own()));
            format!("--- {}\n{}{out}", member.name, member.log())
        };
        self.members.map(of).concat()
    }
}

/// The file of a resource, in every dom0.
fn path(cluster: &str, resource: &str) -> String {
    format!("/srv/heartbeat/{cluster}/{resource}")
}
