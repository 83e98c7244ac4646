//! `setup`: from the installed programs to a dom0 that serves a cluster.
//!
//! Everything is looked at before anything is asked, shown before it is written, and written only if
//! all of it can be. What a person has written stays: a file is added to or it is left alone.

mod asking;
mod diff;
mod domains;
mod host;
mod listen;
mod policy;
mod put;
mod shipped;
mod sshd;
mod sudo;
mod systemd;
mod wishes;

use crate::Ending;
use crate::acl::{Policy, apply};
use crate::output::{complain, say};
use crate::root;
use put::Step;
use std::io;
use std::path::Path;
pub(crate) use wishes::Wishes;
use wishes::{ClusterWish, Way};
use xen_fence_broker::acl::CLUSTERS_DIR;

/// What is wrong: a sentence for who must act, with its hint.
type Fault = String;

/// Sets dom0 up, or says what is missing.
pub(crate) fn run(wishes: Wishes) -> Ending {
    if let Err(ending) = root::must_be_root() {
        return ending;
    }
    prepare(wishes).map_or_else(|ending| ending, Prepared::carry_out)
}

/// All that is to be done, looked at and found possible.
struct Prepared {
    way: Way,
    /// The cluster that the nodes are told of, if it is plain which.
    cluster: Option<String>,
    /// Those that have a policy when this is done.
    served: Vec<String>,
    steps: Vec<Step>,
    accounts: apply::Plan,
    commands: Vec<systemd::Command>,
    consent: Consent,
}

/// Who says that it may be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consent {
    Given,
    Asked,
    /// Nobody can be asked.
    Missing,
    /// It is only to be shown.
    DryRun,
}

fn prepare(wishes: Wishes) -> Result<Prepared, Ending> {
    let unable = |fault: Fault| {
        complain(fault);
        Ending::Unable
    };
    let wrong = |fault: Fault| {
        say(fault);
        complain("nothing was changed: what is said above comes first");
        Ending::Wrong
    };
    let on_host = match Policy::load(Path::new(CLUSTERS_DIR)) {
        Ok(policy) => policy,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Policy::default(),
        Err(error) => return Err(unable(format!("{CLUSTERS_DIR} cannot be read: {error}"))),
    };
    let asks = !wishes.yes && !wishes.dry_run && asking::can_ask();
    let consent = match (wishes.dry_run, wishes.yes, asks) {
        (true, ..) => Consent::DryRun,
        (false, true, _) => Consent::Given,
        (false, false, true) => Consent::Asked,
        (false, false, false) => Consent::Missing,
    };
    let way = wishes.sshd.unwrap_or_else(sshd::installed);
    let faults = host::programs(way);
    if !faults.is_empty() {
        return Err(wrong(faults.join("\n")));
    }
    let mut listen = wishes.listen;
    let mut wanted = ClusterWish::of(wishes.cluster, wishes.nodes, wishes.from, wishes.actions)
        .and_then(|wanted| wanted.with(wishes.domains, wishes.uuids, wishes.configs))
        .map_err(unable)?;
    if asks {
        asking::complete(way, &mut listen, &mut wanted, on_host.is_empty()).map_err(unable)?;
    }
    let mut steps = host::steps(way).map_err(wrong)?;
    if let Some(listen) = listen {
        steps.extend(listen::step(way, listen).map_err(wrong)?);
    }
    let policy = match policy::plan(&wanted).map_err(wrong)? {
        None => on_host,
        Some((cluster, step)) => {
            steps.extend(step);
            on_host.with(cluster)
        }
    };
    let accounts = apply::Plan::of(&policy)?;
    let commands = systemd::commands(way, &steps);
    let served = policy.names();
    let only = served.first().filter(|_| served.len() == 1).cloned();
    Ok(Prepared {
        way,
        cluster: wanted.name.as_ref().map(ToString::to_string).or(only),
        served,
        steps,
        accounts,
        commands,
        consent,
    })
}

impl Prepared {
    fn carry_out(self) -> Ending {
        if self.is_done() {
            self.steps.iter().for_each(Step::show);
            say("nothing to change: this host is as it has to be");
        } else {
            self.show();
            match self.consent {
                Consent::DryRun => return Ending::Well,
                Consent::Missing => {
                    complain("nothing was written: --yes writes what is said above");
                    return Ending::Unable;
                }
                Consent::Asked if !asking::consents() => {
                    complain("nothing was written");
                    return Ending::Unable;
                }
                Consent::Asked | Consent::Given => {}
            }
            if let Err(ending) = self.write() {
                return ending;
            }
        }
        if self.consent == Consent::DryRun { Ending::Well } else { self.verify() }
    }

    fn is_done(&self) -> bool {
        let written = self.steps.iter().all(|step| !step.changes());
        written && self.accounts.is_empty() && self.commands.is_empty()
    }

    fn show(&self) {
        for step in &self.steps {
            step.show();
        }
        self.accounts.show();
        for command in &self.commands {
            say(format_args!("would run {command}"));
        }
    }

    fn write(&self) -> Result<(), Ending> {
        let failed = |why: Fault| {
            complain(format_args!("{why}\n  hint: mend that, and run this again"));
            Ending::Unable
        };
        for step in self.steps.iter().filter(|step| step.changes()) {
            step.carry_out().map_err(failed)?;
            say(step);
        }
        match self.accounts.carry_out() {
            Ending::Well => {}
            ending @ (Ending::Wrong | Ending::Unable | Ending::Serious) => return Err(ending),
        }
        for command in &self.commands {
            command.run().map_err(failed)?;
            say(format_args!("ran {command}"));
        }
        Ok(())
    }

    /// Looks whether the way is open, as far as this host can tell, and says what comes next.
    fn verify(&self) -> Ending {
        let mut faults = Vec::new();
        for name in &self.served {
            faults.extend(sudo::lets(name).err());
            faults.extend(sshd::lets(self.way, name).err());
        }
        let door = match sshd::door(self.way) {
            Ok(door) => {
                faults.extend(sshd::answers(self.way, &door, !self.commands.is_empty()).err());
                Some(door)
            }
            Err(fault) => {
                faults.push(fault);
                None
            }
        };
        for fault in &faults {
            say(fault);
        }
        if let Some(door) = door {
            self.next(&door);
        }
        if faults.is_empty() { Ending::Well } else { Ending::Wrong }
    }

    fn next(&self, door: &sshd::Door) {
        let account = self.cluster.as_deref().unwrap_or("CLUSTER");
        say(format_args!("\ndom0's host key is {} ({})", door.fingerprint, door.key_type));
        say("next, as root in each node that has no key here yet:");
        say(format_args!(
            "  xen-fence enroll --dom0 fence-{account}@{} --fingerprint {}",
            door.place, door.fingerprint
        ));
        if self.cluster.as_ref().is_some_and(|cluster| self.served.contains(cluster)) {
            say("then, as root in any node:");
            say("  xen-fence check");
        }
    }
}
