//! The table itself: a row for each parameter, in the order in which they are shown.

use super::{Content, Parameter, Plugin};

const NOTHING: Parameter = Parameter {
    long: "",
    short: None,
    older: &[],
    value: "",
    content: Content::Text,
    default: None,
    required: false,
    plugin: Plugin::Unknown,
    text: "",
};

/// All of them, in the order in which they are shown.
pub(in crate::door) const TABLE: &[Parameter] = &[
    Parameter {
        long: "action",
        short: Some('o'),
        older: &["option"],
        value: "ACTION",
        content: Content::Action,
        default: Some("reboot"),
        required: true,
        text: "What to do",
        ..NOTHING
    },
    Parameter {
        long: "plug",
        short: Some('n'),
        older: &["port"],
        value: "NODE",
        required: true,
        text: "The node, by the name that the cluster knows (uname -n); several with commas between \
               them. Where it is not set, nodename is taken",
        ..NOTHING
    },
    Parameter {
        long: "nodename",
        value: "NODE",
        text: "The node, as Pacemaker always names it. It counts where plug is not set",
        ..NOTHING
    },
    Parameter {
        long: "dom0",
        value: "[ACCOUNT@]HOST[:PORT] ...",
        plugin: Plugin::Mandatory,
        text: "The dom0s that the nodes can run on, such as fence-alpha@xen1:2422. Spaces or commas stand \
               between them. The account is the one that the owner of dom0 has made for this cluster; an \
               IPv6 address stands in brackets; the port is 22 unless named. Default: dom0 in agent.toml",
        ..NOTHING
    },
    Parameter {
        long: "ip",
        short: Some('a'),
        older: &["ipaddr"],
        value: "HOST",
        text: "The one dom0 to ask, by name or address; instead of dom0",
        ..NOTHING
    },
    Parameter {
        long: "ipport",
        short: Some('u'),
        value: "PORT",
        content: Content::Number,
        text: "The port of its sshd, with ip. Default: 22",
        ..NOTHING
    },
    Parameter {
        long: "username",
        short: Some('l'),
        older: &["login"],
        value: "ACCOUNT",
        text: "The account of this cluster on a dom0 that is named without one. Default: account in \
               agent.toml",
        ..NOTHING
    },
    Parameter {
        long: "identity-file",
        short: Some('k'),
        value: "FILE",
        plugin: Plugin::Optional,
        text: "The private key of this node. Default: identity in agent.toml, else \
               /etc/xen-fence/id_ed25519",
        ..NOTHING
    },
    Parameter {
        long: "known-hosts",
        value: "FILE",
        plugin: Plugin::Optional,
        text: "The file that holds dom0's host key. Default: known_hosts in agent.toml, else \
               /etc/xen-fence/known_hosts, else /etc/ssh/ssh_known_hosts",
        ..NOTHING
    },
    Parameter {
        long: "timeout",
        value: "SECONDS",
        content: Content::Seconds,
        plugin: Plugin::Optional,
        text: "The deadline for everything, retries and proof included. Default: timeout in agent.toml, \
               else 50. The cluster manager has to give the action more than that",
        ..NOTHING
    },
    Parameter {
        long: "power-timeout",
        value: "SECONDS",
        content: Content::Seconds,
        text: "The deadline of on, off and reboot, instead of timeout",
        ..NOTHING
    },
    Parameter {
        long: "login-timeout",
        value: "SECONDS",
        content: Content::Seconds,
        text: "The deadline of the actions that only ask (status, monitor, list, list-status), instead \
               of timeout",
        ..NOTHING
    },
    Parameter {
        long: "delay",
        value: "SECONDS",
        content: Content::Seconds,
        default: Some("0"),
        text: "Wait so long before off and reboot. It is not needed against two nodes that fence each \
               other: dom0 lets one of them live",
        ..NOTHING
    },
    Parameter {
        long: "separator",
        short: Some('C'),
        value: "TEXT",
        default: Some(","),
        text: "What stands between the columns of list and list-status",
        ..NOTHING
    },
    Parameter {
        long: "quiet",
        short: Some('q'),
        content: Content::Flag,
        text: "Answer with the exit code alone, where that is enough",
        ..NOTHING
    },
    Parameter {
        long: "verbose",
        short: Some('v'),
        content: Content::Flag,
        text: "Show each phase with its time on standard error",
        ..NOTHING
    },
    Parameter {
        long: "version",
        short: Some('V'),
        content: Content::Flag,
        text: "Print the version and end",
        ..NOTHING
    },
    Parameter {
        long: "help",
        short: Some('h'),
        content: Content::Flag,
        text: "Print this and end",
        ..NOTHING
    },
];
