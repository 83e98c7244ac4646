//! Whom to ask: endpoints that lead to one dom0 taken together, and for a fence which dom0s have to
//! answer, which may, and which are left out because a person says that they are down.
//!
//! Pure: what known_hosts has is brought by the caller.

use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use xen_fence_protocol::HostName;

/// One dom0, and the ways to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The way that is tried first.
    pub(crate) first: Endpoint,
    /// The other ways, in their order.
    pub(crate) others: Vec<Endpoint>,
    /// Whether nothing succeeds without its answer.
    pub(crate) needed: bool,
}

impl Target {
    /// A dom0 at one address, that has to answer.
    pub(crate) const fn at(first: Endpoint) -> Self {
        Self { first, others: Vec::new(), needed: true }
    }

    /// Every way, in their order.
    pub(crate) fn ways(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// What people are told of it before it has said its name.
    pub(crate) fn name(&self) -> String {
        let ways: Vec<String> = self.ways().map(ToString::to_string).collect();
        ways.join(" or ")
    }

    fn is_called(&self, name: &str) -> bool {
        self.ways().any(|way| way.is_called(name))
    }
}

/// Takes endpoints together that have a recorded host key in common: one dom0 at several addresses.
/// `keys` names the keys that are recorded for an endpoint.
pub(crate) fn together(dom0s: &[Endpoint], keys: &dyn Fn(&Endpoint) -> Vec<String>) -> Vec<Target> {
    let mut targets: Vec<(Vec<String>, Target)> = Vec::new();
    for dom0 in dom0s {
        let prints = keys(dom0);
        let same = targets.iter_mut().find(|(others, target)| {
            target.first.account == dom0.account
                && prints.iter().any(|print| others.contains(print))
        });
        match same {
            Some((_, target)) => target.others.push(dom0.clone()),
            None => targets.push((prints, Target::at(dom0.clone()))),
        }
    }
    targets.into_iter().map(|(_, target)| target).collect()
}

/// Puts dom0s into the one order in which every agent asks them, whatever its settings: that of their
/// recorded keys. One without a key is refused anyway, and comes last.
pub(crate) fn in_order(targets: &mut [Target], keys: &dyn Fn(&Endpoint) -> Vec<String>) {
    targets.sort_by_cached_key(|target| {
        let print = keys(&target.first).into_iter().next();
        (print.is_none(), print)
    });
}

/// Leaves out the dom0s that a person says are down; the names are what goes on record.
///
/// # Errors
/// [`Kind::Usage`]: a name that is none, or that means no dom0 or several, or nobody is left.
pub(crate) fn without(
    targets: &mut Vec<Target>,
    confirmed_down: &[String],
) -> Result<Vec<HostName>, Error> {
    let usage = |why: String| Error::new(Kind::Usage, format!("--confirmed-down: {why}"));
    let mut down = Vec::new();
    for name in confirmed_down {
        let host = HostName::parse(name)
            .map_err(|_| usage(format!("{name:?} is not the name of a dom0, such as xen2")))?;
        let called: Vec<String> =
            targets.iter().filter(|target| target.is_called(name)).map(Target::name).collect();
        match called.as_slice() {
            [] => {
                let asked: Vec<String> = targets.iter().map(Target::name).collect();
                return Err(usage(format!("{name} is none of the dom0s that would be asked"))
                    .hint(format!("they are {}", asked.join(", "))));
            }
            [_] => targets.retain(|target| !target.is_called(name)),
            several => {
                return Err(usage(format!("{name} can mean {}", several.join(" and ")))
                    .hint("give the whole name or the address of the one that is down"));
            }
        }
        down.push(host);
    }
    if targets.is_empty() {
        return Err(usage("no dom0 is left that could be asked".to_owned())
            .hint("without the word of any dom0 nothing is proven"));
    }
    Ok(down)
}

/// Marks those that have to answer: the ones that the node is pinned to, or all.
pub(crate) fn pin(targets: &mut [Target], pins: Option<&Vec<String>>) {
    let Some(pins) = pins else { return };
    let can_run = |target: &Target| pins.iter().any(|name| target.is_called(name));
    // Where those are all said to be down, somebody has to have looked all the same.
    if targets.iter().any(can_run) {
        for target in targets {
            target.needed = can_run(target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(hosts: &[&str]) -> Vec<Endpoint> {
        hosts.iter().map(|host| Endpoint::parse(&format!("fence-a@{host}")).unwrap()).collect()
    }

    /// A host's key is what stands before its first hyphen; `new` has none.
    fn key(endpoint: &Endpoint) -> Vec<String> {
        let host = endpoint.host.to_string();
        let key = host.split('-').next().filter(|key| *key != "new");
        key.map(str::to_owned).into_iter().collect()
    }

    fn targets(hosts: &[&str]) -> Vec<Target> {
        together(&endpoints(hosts), &key)
    }

    fn names(targets: &[Target]) -> Vec<String> {
        let host = |way: &Endpoint| way.host.to_string();
        targets.iter().map(|target| target.ways().map(host).collect::<Vec<_>>().join("|")).collect()
    }

    #[test]
    fn one_dom0_at_two_addresses_is_one() {
        let all = targets(&["xen2-a", "new-a", "xen1", "xen2-b", "new-b"]);
        assert_eq!(names(&all), ["xen2-a|xen2-b", "new-a", "xen1", "new-b"]);
        let mixed = together(
            &[&endpoints(&["x-a"])[..], &[Endpoint::parse("b@x-b").unwrap()]].concat(),
            &key,
        );
        assert_eq!(mixed.len(), 2, "another account is another cluster");
    }

    #[test]
    fn the_order_is_that_of_the_keys() {
        for hosts in [["xen2-a", "new", "xen1", "xen2-b"], ["xen1", "xen2-a", "xen2-b", "new"]] {
            let mut all = targets(&hosts);
            in_order(&mut all, &key);
            assert_eq!(names(&all), ["xen1", "xen2-a|xen2-b", "new"]);
        }
    }

    #[test]
    fn a_dom0_that_is_down_is_left_out_and_named() {
        let down = |hosts: &[&str], names: &[&str]| {
            let mut all = targets(hosts);
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            without(&mut all, &names).map(|down| (all, down))
        };
        let (left, named) = down(&["xen1", "xen2-a", "xen2-b"], &["xen2-b"]).unwrap();
        assert_eq!(names(&left), ["xen1"], "with every way to it");
        assert_eq!(named[0].as_str(), "xen2-b");
        let (left, _) = down(&["xen1", "xen2"], &[]).unwrap();
        assert_eq!(left.len(), 2);
        for (hosts, named, why) in [
            (&["xen1", "xen2"][..], &["xen3"][..], "none of the dom0s"),
            (&["xen1", "xen2"], &["xen1", "xen2"], "no dom0 is left"),
            (&["xen1"], &["xen1"], "no dom0 is left"),
            (&["xen1", "xen2"], &["xen2", "xen2"], "none of the dom0s"),
            (&["xen1", "xen2"], &["x y"], "not the name"),
            (&["xen.a", "xen.b"], &["xen"], "can mean"),
        ] {
            let error = down(hosts, named).unwrap_err();
            assert_eq!(error.kind, Kind::Usage);
            assert!(error.message.contains(why), "{error}");
        }
    }

    #[test]
    fn pins_say_who_has_to_answer() {
        let needed = |hosts: &[&str], pins: Option<&[&str]>| {
            let mut all = targets(hosts);
            let pins = pins.map(|pins| pins.iter().map(|name| (*name).to_owned()).collect());
            pin(&mut all, pins.as_ref());
            all.iter().map(|target| target.needed).collect::<Vec<_>>()
        };
        assert_eq!(needed(&["xen1", "xen2"], None), [true, true]);
        assert_eq!(needed(&["xen1", "xen2", "xen3"], Some(&["xen2"])), [false, true, false]);
        assert_eq!(needed(&["xen1", "xen2"], Some(&["xen3"])), [true, true], "it is left out");
    }
}
