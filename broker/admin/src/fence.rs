//! `fence`: root's own fence, by the very story that serves an agent.
//!
//! One end of a pair of sockets is the broker's session, at the other end a thread plays the agent:
//! it says the request, prints what is answered and says `go`. Lock, journal, proof and power-on are
//! the broker's; nothing here can call a node dead.

use crate::output::{complain, say};
use crate::root;
use crate::{Ending, FenceAction};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use xen_fence_broker::acl::CLUSTERS_DIR;
use xen_fence_broker::clock::BootClock;
use xen_fence_broker::detach::{block_ends, block_stops};
use xen_fence_broker::hold::HOLDS_DIR;
use xen_fence_broker::host::own_name;
use xen_fence_broker::identity::Identity;
use xen_fence_broker::journal::JOURNAL_DIR;
use xen_fence_broker::serve::{Door, House, RUN_DIR, serve};
use xen_fence_broker::session::Session;
use xen_fence_broker::settings::SETTINGS_FILE;
use xen_fence_protocol::{
    Action, Body, ClientLine, How, NodeName, Note, Power, Reply, Request, RequestId,
};

/// Fences a node, or powers it on.
pub(crate) fn run(cluster: &str, node: &str, action: FenceAction) -> Ending {
    let (identity, request) = match prepare(cluster, node, action) {
        Ok(prepared) => prepared,
        Err(ending) => return ending,
    };
    block_stops();
    let (ours, theirs) = match UnixStream::pair() {
        Ok(pair) => pair,
        Err(error) => {
            complain(format!("no pair of sockets could be made: {error}"));
            return Ending::Unable;
        }
    };
    let agent = std::thread::Builder::new().spawn(move || {
        // An interrupt ends the command as long as the broker's thread lets it: until go.
        block_ends();
        converse(&ours, &request)
    });
    let agent = match agent {
        Ok(agent) => agent,
        Err(error) => {
            complain(format!("no thread could be started, nothing was touched: {error}"));
            return Ending::Unable;
        }
    };
    let house = House {
        door: Door::Root(identity),
        settings: Path::new(SETTINGS_FILE),
        clusters: Path::new(CLUSTERS_DIR),
        journals: Path::new(JOURNAL_DIR),
        holds: Path::new(HOLDS_DIR),
        run: Path::new(RUN_DIR),
        clock: &BootClock,
    };
    serve(&house, &mut Session::new(theirs.as_fd(), theirs.as_fd(), own_name()));
    drop(theirs);
    agent.join().unwrap_or_else(|_| {
        complain("what the broker answered was lost; `xen-fence-admin log` has it");
        Ending::Unable
    })
}

fn prepare(cluster: &str, node: &str, action: FenceAction) -> Result<(Identity, Request), Ending> {
    root::must_be_root()?;
    let cluster = root::cluster(cluster)?;
    // Said here with all that root may know; the broker decides by the policy as it reads it.
    let node = root::node(&root::policy(&cluster)?, node)?.name().clone();
    let action = match action {
        FenceAction::Reset => Action::Reset,
        FenceAction::Off => Action::Off,
        FenceAction::On => Action::On,
    };
    let cannot = |why: String| root::unable(why, None);
    // xl reads some files by paths of its own working directory.
    std::env::set_current_dir("/").map_err(|error| cannot(format!("/ is closed: {error}")))?;
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| cannot(format!("no random numbers: {error}")))?;
    let id = RequestId::from_bits(u128::from_be_bytes(id));
    let request =
        Request::new(id, action, Some(node)).map_err(|error| cannot(error.to_string()))?;
    // A login that cannot stand on the wire is on record as root.
    let login = NodeName::parse(&root::who()).or_else(|_| NodeName::parse("root"));
    let login = login.map_err(|error| cannot(error.to_string()))?;
    Ok((Identity::of_root(cluster, login), request))
}

/// Whether what is printed goes nowhere: the other end of the pipe or terminal is gone, as when a
/// connection was given up without a terminal, which sends no signal.
fn is_unheard() -> bool {
    let stdout = std::io::stdout();
    let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
    poll(&mut polled, PollTimeout::ZERO).is_ok()
        && polled.iter().any(|fd| fd.revents().is_some_and(|seen| seen.intersects(gone)))
}

/// Plays the agent. Only a line of the broker is believed, as an agent does.
fn converse(stream: &UnixStream, request: &Request) -> Ending {
    let mut said = stream;
    let mut tell = |line: ClientLine| said.write_all(line.to_string().as_bytes());
    if let Err(error) = tell(ClientLine::Request(request.clone())) {
        complain(format!("the broker could not be asked: {error}"));
        return Ending::Unable;
    }
    let (mut ending, mut left_off) = (Ending::Wrong, false);
    // Joined, and nobody has said yet what becomes of the node.
    let mut untold = false;
    for line in BufReader::new(stream).split(b'\n') {
        let Ok(mut line) = line else { break };
        line.push(b'\n');
        let Ok(reply) = Reply::decode(&line) else {
            complain("the broker's answer was not understood");
            continue;
        };
        match reply.body {
            Body::Ready { node, power, .. } => {
                if !say(format!("{node} is {power}")) || is_unheard() {
                    complain("nobody reads this any more: nothing was touched");
                    return Ending::Unable;
                }
                // What does not run here may run on another dom0, and nobody has asked there: of a node that
                // has migrated a corpse may be left.
                left_off = power != Power::On && request.action() == Action::Reset;
                let go = if left_off { ClientLine::GoOff } else { ClientLine::Go };
                // A go that does not arrive shows in the answer.
                let _unheard = tell(go(request.id()));
            }
            Body::Note { about: Note::Listening | Note::Going, .. } => {}
            Body::Note { about, text } => {
                untold &= about != Note::Progress;
                complain(text);
            }
            Body::Fenced { node, how: How::Shell } => complain(format!(
                "only the shell that a migration of {node} left here was destroyed: not fenced"
            )),
            Body::Fenced { node, how } => {
                say(format!("{node} fenced ({how})"));
                if how == How::Joined {
                    say(
                        "by a request of a moment ago: it was not killed again; --action off kills whatever \
                         lives",
                    );
                }
                if left_off {
                    // Root has no other dom0 to ask first: the broker need not wait for that.
                    let _unheard = tell(ClientLine::Look(request.id()));
                    // Whoever it joins may power it on, and that is said next.
                    untold = how == How::Joined;
                }
                if left_off && !untold {
                    say_left_off();
                }
                ending = Ending::Well;
            }
            Body::Started { node, how } => {
                untold = false;
                say(format!("{node} started ({how})"));
                ending = Ending::Well;
            }
            Body::Unstarted { node, text } => {
                untold = false;
                complain(format!("{node} is off and stays off: {text}"));
            }
            Body::Refused { text, .. } => {
                complain(format!("refused: {text}"));
                ending = Ending::Wrong;
            }
            Body::Failed { text, .. } => complain(format!("failed: {text}")),
            Body::Done if untold => say_left_off(),
            Body::Seen { .. } | Body::Finding { .. } | Body::Done => {}
        }
    }
    ending
}

fn say_left_off() {
    say(
        "it was not seen to run on this dom0 and is left off here; if it runs on no other dom0, the same \
         with --action on starts it",
    );
}
