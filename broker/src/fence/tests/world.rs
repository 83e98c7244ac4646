//! A simulated host with its own clock: every listing takes time, and things happen at their moments
//! whether anybody looks or not.

use crate::acl::{self, Decision, Grant, Node};
use crate::clock::{Clock, Moment};
use crate::command::CommandError;
use crate::fence::{NotFenced, Witness};
use crate::names::{Caller, ClusterName};
use crate::processes::{Process, Processes, Writers};
use crate::sight::Host;
use crate::target::tests::{UUID, node, row};
use crate::toolstack::{Listing, Row, RowState, Toolstack, ToolstackError};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::time::Duration;
use xen_fence_protocol::{Action, How, NodeName, Request, RequestId};

pub(super) type Deed = Box<dyn Fn(&World)>;
pub(super) type Destroy = Box<dyn Fn(&World, u32) -> Result<(), ToolstackError>>;

/// A host with one node on it.
pub(super) struct World {
    pub(super) now: Cell<Duration>,
    pub(super) rows: RefCell<Vec<Row>>,
    pub(super) restarters: RefCell<Vec<Process>>,
    pub(super) writers: RefCell<Vec<Process>>,
    /// Those that are seen to be a neighbour's.
    pub(super) neighbours: RefCell<Vec<Process>>,
    /// Those that are seen to be nobody's.
    pub(super) strangers: RefCell<Vec<Process>>,
    /// What is going to happen, and when.
    pub(super) future: RefCell<Vec<(Duration, Deed)>>,
    /// What a destroy of a domid does, and what the toolstack says of it.
    pub(super) on_destroy: RefCell<Destroy>,
    pub(super) destroyed: RefCell<Vec<u32>>,
    pub(super) silent: Cell<bool>,
    /// Whether nobody can tell by looking that the writers are the node's.
    pub(super) unseen: Cell<bool>,
    /// Whether nobody can tell whose the writers are.
    pub(super) doubted: Cell<bool>,
    pub(super) restarts_by_itself: bool,
}

pub(super) const MS: fn(u64) -> Duration = Duration::from_millis;

impl World {
    pub(super) fn with(rows: Vec<Row>) -> Self {
        Self {
            now: Cell::new(MS(1000)),
            rows: RefCell::new(rows),
            restarters: RefCell::default(),
            writers: RefCell::default(),
            neighbours: RefCell::default(),
            strangers: RefCell::default(),
            future: RefCell::default(),
            on_destroy: RefCell::new(Box::new(|world, domid| {
                world.remove(domid);
                Ok(())
            })),
            destroyed: RefCell::default(),
            silent: Cell::new(false),
            unseen: Cell::new(false),
            doubted: Cell::new(false),
            restarts_by_itself: false,
        }
    }

    pub(super) fn running() -> Self {
        Self::with(vec![row(5, "alpha-node2", UUID, false)])
    }

    pub(super) fn on_destroy(
        self,
        deed: impl Fn(&Self, u32) -> Result<(), ToolstackError> + 'static,
    ) -> Self {
        *self.on_destroy.borrow_mut() = Box::new(deed);
        self
    }

    pub(super) fn remove(&self, domid: u32) {
        self.rows.borrow_mut().retain(|row| row.domid != domid);
    }

    /// Lets a domain lose its name and its life, and keeps its row.
    pub(super) fn make_corpse(&self, domid: u32) {
        for row in self.rows.borrow_mut().iter_mut().filter(|row| row.domid == domid) {
            row.name = None;
            row.state = RowState::Dying;
        }
    }

    pub(super) fn add(&self, domid: u32) {
        self.rows.borrow_mut().push(row(domid, "alpha-node2", UUID, false));
    }

    pub(super) fn later(&self, after: Duration, deed: impl Fn(&Self) + 'static) {
        self.future.borrow_mut().push((self.now.get() + after, Box::new(deed)));
    }

    pub(super) fn pass(&self, time: Duration) {
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

    fn pause(&self, _domid: u32, _limit: Duration) -> Result<(), ToolstackError> {
        Ok(())
    }

    fn dump_command(&self, _domid: u32, _file: &Path) -> Vec<String> {
        Vec::new()
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

    fn writers(&self, _node: &Node, _domids: &[u32], _living: &[u32]) -> std::io::Result<Writers> {
        let seen = if self.unseen.get() { Vec::new() } else { self.writers.borrow().clone() };
        let (known, perhaps) =
            if self.doubted.get() { (Vec::new(), seen) } else { (seen, Vec::new()) };
        Ok(Writers { known, perhaps, neighbours: self.neighbours.borrow().clone() })
    }

    fn destroyer(&self, _domids: &[u32]) -> std::io::Result<Option<Process>> {
        Ok(None)
    }

    fn lives(&self, process: &Process) -> bool {
        let all = [&self.writers, &self.neighbours, &self.strangers];
        all.iter().any(|some| some.borrow().contains(process))
    }

    fn acts(&self, _broker: &Process) -> bool {
        false
    }
}

pub(super) fn hang(line: &str, limit: Duration) -> ToolstackError {
    ToolstackError::Command(CommandError::TimedOut { line: line.to_owned(), limit })
}

/// The host has no process to give.
pub(super) fn not_started() -> ToolstackError {
    let source = std::io::Error::from_raw_os_error(nix::libc::EAGAIN);
    ToolstackError::Command(CommandError::Start { line: "xl destroy 5".to_owned(), source })
}

pub(super) fn failed(words: &str) -> ToolstackError {
    ToolstackError::Failed {
        line: "xl destroy 5".to_owned(),
        ending: "exit code 1".to_owned(),
        words: words.to_owned(),
    }
}

pub(super) fn process(what: &str) -> Process {
    Process { pid: 4242, started: 7, what: what.to_owned() }
}

#[derive(Default)]
pub(super) struct Scene {
    pub(super) harmless: u32,
    /// How often it was asked whether a domain may be destroyed.
    pub(super) asked: u32,
    /// Why none may be but the first.
    pub(super) forbids: Option<&'static str>,
    /// Who was said to write for the node, each time that was said.
    pub(super) writes: Vec<Writers>,
    pub(super) words: Vec<String>,
    pub(super) steps: Vec<(&'static str, String)>,
}

impl Witness for Scene {
    fn harmless(&mut self) {
        self.harmless += 1;
    }
    fn may_destroy(&mut self) -> Result<(), String> {
        self.asked += 1;
        self.forbids.filter(|_| self.asked > 1).map_or(Ok(()), |why| Err(why.to_owned()))
    }
    fn writes(&mut self, writers: &Writers) {
        self.writes.push(writers.clone());
    }
    fn passed(&mut self, step: &'static str, evidence: &str) {
        self.steps.push((step, evidence.to_owned()));
    }
    fn waiting_for(&mut self, text: &str) {
        self.words.push(text.to_owned());
    }
}

pub(super) fn grant() -> Grant {
    let text = format!(
        "actions = [\"reset\"]\n[nodes.node2]\ndomain = \"alpha-node2\"\nuuid = \"{UUID}\"\n\
         keys = [\"{}\"]\n",
        node().keys()[0].type_and_base64()
    );
    let cluster = acl::parse(&ClusterName::parse("alpha").unwrap(), &text).unwrap();
    let name = NodeName::parse("node2").unwrap();
    let request = Request::new(RequestId::from_bits(1), Action::Reset, Some(name.clone())).unwrap();
    let key = node().keys()[0].fingerprint();
    match acl::decide(&cluster, &Caller::Node(name), Some(&key), None, &request) {
        Decision::Permit(grant) => grant,
        Decision::Refuse(refused) => panic!("{refused:?}"),
    }
}

/// Fences the node; tells the outcome, how many milliseconds it took, and what was witnessed.
pub(super) fn fence(world: &World) -> (Result<How, NotFenced>, u64, Scene) {
    fence_before(world, Scene::default())
}

/// The same before this witness.
pub(super) fn fence_before(world: &World, scene: Scene) -> (Result<How, NotFenced>, u64, Scene) {
    fence_after(world, scene, Writers::default())
}

/// The same after a fence that has failed, and had seen these writers.
pub(super) fn fence_after(
    world: &World,
    mut scene: Scene,
    writers: Writers,
) -> (Result<How, NotFenced>, u64, Scene) {
    let host = Host { toolstack: world, processes: world, clock: world };
    let begun = world.now.get();
    let sight = host.look(&node()).unwrap();
    let ended = host.fence(&grant(), &node(), sight, writers, &mut scene);
    if ended.is_ok() {
        assert!(world.rows.borrow().is_empty(), "fenced while a row is there");
        assert!(world.writers.borrow().is_empty(), "fenced while a writer lives");
        assert!(world.restarters.borrow().is_empty(), "fenced while something may restart it");
    }
    (ended, u64::try_from((world.now.get() - begun).as_millis()).unwrap(), scene)
}
