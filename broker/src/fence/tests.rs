//! The kill and its proof against a hypervisor that behaves as the recordings of real Xen show.
//!
//! Each test is named after what was seen. The world below is simulated with its own clock: every
//! listing takes time, and things happen at their moments whether anybody looks or not.

use super::*;
use crate::acl::{self, Decision};
use crate::clock::Clock;
use crate::command::CommandError;
use crate::names::{Caller, ClusterName};
use crate::processes::Processes;
use crate::target::tests::{UUID, node, row};
use crate::toolstack::{Listing, Row, RowState, Toolstack};
use std::cell::{Cell, RefCell};
use std::path::Path;
use xen_fence_protocol::{Action, NodeName, Power, Request, RequestId};

type Deed = Box<dyn Fn(&World)>;
type Destroy = Box<dyn Fn(&World, u32) -> Result<(), ToolstackError>>;

/// A host with one node on it.
struct World {
    now: Cell<Duration>,
    rows: RefCell<Vec<Row>>,
    restarters: RefCell<Vec<Process>>,
    writers: RefCell<Vec<Process>>,
    /// What is going to happen, and when.
    future: RefCell<Vec<(Duration, Deed)>>,
    /// What a destroy of a domid does, and what the toolstack says of it.
    on_destroy: RefCell<Destroy>,
    destroyed: RefCell<Vec<u32>>,
    silent: Cell<bool>,
    restarts_by_itself: bool,
}

const MS: fn(u64) -> Duration = Duration::from_millis;

impl World {
    fn with(rows: Vec<Row>) -> Self {
        Self {
            now: Cell::new(MS(1000)),
            rows: RefCell::new(rows),
            restarters: RefCell::default(),
            writers: RefCell::default(),
            future: RefCell::default(),
            on_destroy: RefCell::new(Box::new(|world, domid| {
                world.remove(domid);
                Ok(())
            })),
            destroyed: RefCell::default(),
            silent: Cell::new(false),
            restarts_by_itself: false,
        }
    }

    fn running() -> Self {
        Self::with(vec![row(5, "alpha-node2", UUID, false)])
    }

    fn on_destroy(self, deed: impl Fn(&Self, u32) -> Result<(), ToolstackError> + 'static) -> Self {
        *self.on_destroy.borrow_mut() = Box::new(deed);
        self
    }

    fn remove(&self, domid: u32) {
        self.rows.borrow_mut().retain(|row| row.domid != domid);
    }

    /// Lets a domain lose its name and its life, and keeps its row.
    fn make_corpse(&self, domid: u32) {
        for row in self.rows.borrow_mut().iter_mut().filter(|row| row.domid == domid) {
            row.name = None;
            row.state = RowState::Dying;
        }
    }

    fn add(&self, domid: u32) {
        self.rows.borrow_mut().push(row(domid, "alpha-node2", UUID, false));
    }

    fn later(&self, after: Duration, deed: impl Fn(&Self) + 'static) {
        self.future.borrow_mut().push((self.now.get() + after, Box::new(deed)));
    }

    fn pass(&self, time: Duration) {
        self.now.set(self.now.get() + time);
        let future = self.future.take();
        let (due, rest): (Vec<_>, Vec<_>) =
            future.into_iter().partition(|(at, _)| *at <= self.now.get());
        self.future.borrow_mut().extend(rest);
        for (_, deed) in due {
            deed(self);
        }
    }
}

impl Clock for World {
    fn now(&self) -> Moment {
        Moment::since_boot(self.now.get())
    }

    fn sleep(&self, duration: Duration) {
        self.pass(duration);
    }
}

impl Toolstack for World {
    fn name(&self) -> &'static str {
        "xl"
    }

    fn list(&self) -> Result<Listing, ToolstackError> {
        if self.silent.get() {
            self.pass(MS(10_000));
            return Err(hang("xl list -v", MS(10_000)));
        }
        self.pass(MS(20));
        let mut rows = vec![row(0, "Domain-0", "", false)];
        rows.extend(self.rows.borrow().iter().cloned());
        Ok(Listing::of_rows(rows).unwrap())
    }

    fn destroy(&self, domid: u32) -> Result<(), ToolstackError> {
        self.destroyed.borrow_mut().push(domid);
        self.pass(MS(50));
        self.on_destroy.borrow()(self, domid)
    }

    fn create_command(&self, _config: &Path) -> Vec<String> {
        Vec::new()
    }

    fn restarts_by_itself(&self) -> bool {
        self.restarts_by_itself
    }
}

impl Processes for World {
    fn restarters(&self, _node: &Node) -> std::io::Result<Vec<Process>> {
        Ok(self.restarters.borrow().clone())
    }

    fn writers(&self, _node: &Node, _domids: &[u32]) -> std::io::Result<Vec<Process>> {
        Ok(self.writers.borrow().clone())
    }

    fn lives(&self, process: &Process) -> bool {
        self.writers.borrow().contains(process)
    }
}

fn hang(line: &str, limit: Duration) -> ToolstackError {
    ToolstackError::Command(CommandError::TimedOut { line: line.to_owned(), limit })
}

fn failed(words: &str) -> ToolstackError {
    ToolstackError::Failed {
        line: "xl destroy 5".to_owned(),
        ending: "exit code 1".to_owned(),
        words: words.to_owned(),
    }
}

fn process(what: &str) -> Process {
    Process { pid: 4242, started: 7, what: what.to_owned() }
}

#[derive(Default)]
struct Scene {
    harmless: u32,
    again: u32,
    words: Vec<String>,
}

impl Witness for Scene {
    fn harmless(&mut self) {
        self.harmless += 1;
    }
    fn killing_again(&mut self) {
        self.again += 1;
    }
    fn waiting_for(&mut self, text: &str) {
        self.words.push(text.to_owned());
    }
}

fn grant() -> Grant {
    let text = format!(
        "actions = [\"reset\"]\n[nodes.node2]\ndomain = \"alpha-node2\"\nuuid = \"{UUID}\"\n\
         keys = [\"{}\"]\n",
        node().keys()[0].type_and_base64()
    );
    let cluster = acl::parse(&ClusterName::parse("alpha").unwrap(), &text).unwrap();
    let name = NodeName::parse("node2").unwrap();
    let request = Request::new(RequestId::from_bits(1), Action::Reset, Some(name.clone())).unwrap();
    let key = node().keys()[0].fingerprint();
    match acl::decide(&cluster, &Caller::Node(name), &key, None, &request) {
        Decision::Permit(grant) => grant,
        Decision::Refuse(refused) => panic!("{refused:?}"),
    }
}

/// Fences the node; tells the outcome, how many milliseconds it took, and what was witnessed.
fn fence(world: &World) -> (Result<How, NotFenced>, u64, Scene) {
    let host = Host { toolstack: world, processes: world, clock: world };
    let mut scene = Scene::default();
    let begun = world.now.get();
    let sight = host.look(&node()).unwrap();
    let ended = host.fence(&grant(), &node(), sight, &mut scene);
    if ended.is_ok() {
        assert!(world.rows.borrow().is_empty(), "fenced while a row is there");
        assert!(world.writers.borrow().is_empty(), "fenced while a writer lives");
        assert!(world.restarters.borrow().is_empty(), "fenced while something may restart it");
    }
    (ended, u64::try_from((world.now.get() - begun).as_millis()).unwrap(), scene)
}

#[test]
fn a_domain_that_dies_at_once_is_fenced_at_once() {
    let world = World::running();
    let (ended, took, scene) = fence(&world);
    assert_eq!((ended, scene.harmless, scene.again), (Ok(How::Killed), 1, 0));
    assert_eq!(*world.destroyed.borrow(), [5]);
    assert!(took < 200, "{took}");
}

#[test]
fn t79_a_held_up_write_keeps_the_corpse_and_the_corpse_keeps_the_proof_open() {
    for held in [0, 400, 5_000, 300_000, 590_000] {
        let world = World::running().on_destroy(move |world, domid| {
            world.make_corpse(domid);
            world.later(MS(held), move |world| world.remove(domid));
            Ok(())
        });
        let (ended, took, scene) = fence(&world);
        assert_eq!(ended, Ok(How::Killed), "held {held}");
        assert!((held..held + 1_000).contains(&took), "held {held}, took {took}");
        assert_eq!(scene.harmless, 1, "the lock is free while the corpse stays");
        assert_eq!(*world.destroyed.borrow(), [5], "a corpse is not destroyed again");
    }
}

#[test]
fn t79_a_corpse_that_stays_is_a_failure_that_says_what_holds_it() {
    let world = World::running().on_destroy(|world, domid| {
        world.make_corpse(domid);
        Ok(())
    });
    let (ended, took, scene) = fence(&world);
    let not = ended.unwrap_err();
    assert_eq!(not.failure, Failure::Dying);
    assert!(not.recorded.contains("domain 5 is still dying"), "{}", not.recorded);
    assert!(took >= 600_000);
    assert_eq!(scene.words.len(), 1);
}

#[test]
fn t77_the_name_goes_before_the_domain_does() {
    let world = World::running().on_destroy(|world, domid| {
        for row in world.rows.borrow_mut().iter_mut() {
            row.name = None;
        }
        world.later(MS(700), move |world| world.remove(domid));
        Ok(())
    });
    let (ended, took, _) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert!(took >= 700);
}

#[test]
fn t89_a_corpse_beside_a_new_instance_both_have_to_go() {
    let world = World::with(vec![row(1, "", UUID, true), row(2, "alpha-node2", UUID, false)]);
    world.later(MS(3_000), |world| world.remove(1));
    let (ended, took, _) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert_eq!(*world.destroyed.borrow(), [2]);
    assert!(took >= 3_000 - 50);
}

#[test]
fn t61_t60_a_guest_between_two_lives_is_waited_for_and_killed() {
    for gap in [100, 2_000, 20_000] {
        let world = World::with(vec![]);
        world.restarters.borrow_mut().push(process("xl"));
        world.later(MS(gap), |world| world.add(6));
        let world = world.on_destroy(|world, domid| {
            world.remove(domid);
            world.restarters.borrow_mut().clear();
            Ok(())
        });
        let (ended, took, scene) = fence(&world);
        assert_eq!(ended, Ok(How::Killed), "gap {gap}");
        assert_eq!(*world.destroyed.borrow(), [6]);
        assert!(took >= gap);
        assert_eq!(scene.again, 1, "the second kill wants the lock");
    }
}

#[test]
fn t61_a_reboot_in_the_middle_of_the_kill_is_killed_again() {
    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        if domid == 5 {
            world.restarters.borrow_mut().push(process("xl"));
            world.later(MS(2_000), |world| world.add(6));
            return Err(failed("alpha-node2 is an invalid domain identifier (rc=-6)"));
        }
        world.restarters.borrow_mut().clear();
        Ok(())
    });
    let (ended, _, _) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert_eq!(*world.destroyed.borrow(), [5, 6]);
}

#[test]
fn a_monitor_that_stays_is_no_proof_of_absence() {
    let world = World::with(vec![]);
    world.restarters.borrow_mut().push(process("xl (xl create /etc/xen/alpha-node2.cfg)"));
    let (ended, _, _) = fence(&world);
    let not = ended.unwrap_err();
    assert_eq!(not.failure, Failure::Dying);
    assert!(not.recorded.contains("pid 4242"), "{}", not.recorded);
}

#[test]
fn t99_a_toolstack_that_falls_silent_proves_nothing_until_it_speaks_again() {
    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        world.silent.set(true);
        world.later(MS(45_000), |world| world.silent.set(false));
        Ok(())
    });
    let (ended, took, _) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert!(took >= 45_000);

    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        world.silent.set(true);
        Ok(())
    });
    assert_eq!(fence(&world).0.unwrap_err().failure, Failure::Toolstack);
}

#[test]
fn t99_a_destroy_that_hangs_and_leaves_the_domain_alive_is_a_failure() {
    let world = World::running().on_destroy(|world, _| {
        world.pass(MS(55_000));
        Err(hang("xl destroy 5", MS(55_000)))
    });
    let not = fence(&world).0.unwrap_err();
    assert_eq!(not.failure, Failure::Toolstack);
    assert!(not.recorded.contains("did not end within 55 s"), "{}", not.recorded);
    assert_eq!(*world.destroyed.borrow(), [5]);
}

#[test]
fn t44_a_second_destroy_at_the_same_time_changes_nothing() {
    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        Err(failed("destroy failed (rc=-21)"))
    });
    assert_eq!(fence(&world).0, Ok(How::Killed));
}

#[test]
fn a_destroy_that_only_says_so_is_found_out() {
    let world = World::running().on_destroy(|_, _| Ok(()));
    let (ended, took, scene) = fence(&world);
    assert_eq!(ended.unwrap_err().failure, Failure::Alive);
    assert_eq!(*world.destroyed.borrow(), [5, 5, 5]);
    assert_eq!(scene.harmless, 0);
    assert!(took < 10_000, "{took}");
}

#[test]
fn a_device_model_that_outlives_its_domain_keeps_the_proof_open() {
    let world = World::running();
    world.writers.borrow_mut().push(process("device model qemu-system-i386"));
    world.later(MS(8_000), |world| world.writers.borrow_mut().clear());
    let (ended, took, scene) = fence(&world);
    assert_eq!(ended, Ok(How::Killed));
    assert!(took >= 8_000 - 50);
    assert_eq!(scene.words.len(), 1);
}

#[test]
fn a_node_that_is_off_already_is_proven_so() {
    let world = World::with(vec![]);
    assert_eq!(fence(&world).0, Ok(How::Absent));
    assert!(world.destroyed.borrow().is_empty());
}

#[test]
fn the_shell_of_a_migration_is_not_the_node() {
    let world = World::with(vec![row(5, "alpha-node2--migratedaway", UUID, false)]);
    assert_eq!(fence(&world).0, Ok(How::Shell));
    let world = World::with(vec![
        row(5, "alpha-node2--migratedaway", UUID, false),
        row(6, "alpha-node2--incoming", UUID, false),
    ]);
    assert_eq!(fence(&world).0, Ok(How::Killed));
}

#[test]
fn a_stranger_with_the_nodes_uuid_ends_the_proof() {
    let world = World::running().on_destroy(|world, domid| {
        world.remove(domid);
        world.rows.borrow_mut().push(row(9, "beta-db1", UUID, false));
        Ok(())
    });
    let host = Host { toolstack: &world, processes: &world, clock: &world };
    let sight = host.look(&node()).unwrap();
    let ended = host.fence(&grant(), &node(), sight, &mut Scene::default());
    assert_eq!(ended.unwrap_err().failure, Failure::Ambiguous);
    assert_eq!(*world.destroyed.borrow(), [5]);
}

#[test]
fn absence_under_a_toolstack_that_restarts_by_itself_is_no_proof() {
    let world = World { restarts_by_itself: true, ..World::with(vec![]) };
    assert_eq!(fence(&world).0.unwrap_err().failure, Failure::Dying);
    let world = World { restarts_by_itself: true, ..World::running() };
    assert_eq!(fence(&world).0, Ok(How::Killed));
}

/// What a sight says to somebody who only asks: nothing is off that could write or come back.
#[test]
fn only_what_can_neither_write_nor_come_back_is_off() {
    let corpse = || row(5, "", UUID, true);
    let (living, arriving) =
        (row(6, "alpha-node2", UUID, false), row(7, "alpha-node2--incoming", UUID, false));
    for (rows, restarter, by_itself, expected) in [
        (vec![], false, false, Power::Off),
        (vec![], true, false, Power::Unknown),
        (vec![], false, true, Power::Unknown),
        (vec![corpse()], false, false, Power::Unknown),
        (vec![corpse()], true, true, Power::Unknown),
        (vec![living.clone()], false, false, Power::On),
        (vec![living.clone()], true, true, Power::On),
        (vec![corpse(), living], false, false, Power::On),
        (vec![arriving], false, false, Power::On),
    ] {
        let what = format!("{rows:?}, restarter {restarter}, restarts by itself {by_itself}");
        let off = rows.is_empty();
        let world = World { restarts_by_itself: by_itself, ..World::with(rows) };
        if restarter {
            world.restarters.borrow_mut().push(process("xl"));
        }
        let host = Host { toolstack: &world, processes: &world, clock: &world };
        let sight = host.look(&node()).unwrap();
        assert_eq!(sight.power(&host), expected, "{what}");
        if !sight.lives() {
            // A power-on has to respect the same.
            let obstacle = sight.obstacle();
            assert_eq!(obstacle.is_none(), off && !restarter, "{what}: {obstacle:?}");
        }
    }
}
