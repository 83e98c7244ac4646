//! The rules of the protocol that can be left out, and the promises that must not break.

/// A rule that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// One ready and go at a time.
    Lock,
    /// The lock is held until the victim is dead.
    LockUntilDead,
    /// An asker that was fenced is refused.
    AskerChecked,
    /// No kill without a `go`.
    GoAwaited,
    /// No kill by a `go` that comes after the lock was let go.
    LateGoRefused,
    /// A retry has the id of the first try.
    SameId,
    /// What was done is remembered.
    Remembered,
    /// All ask the hosts in one order.
    OneOrder,
    /// `go` is said when all hosts are ready.
    GoWhenAllReady,
    /// The first host has to confirm `go` before the others hear it.
    FirstConfirms,
    /// After the proofs all look again.
    SecondLook,
    /// With several hosts the node is powered on when the agent says that all agree.
    StartOnWord,
    /// Nobody is served while the node's death is being proven.
    ProofAwaited,
    /// What was absent before `ready` is looked for again after `go`.
    AbsenceSeenAfterGo,
    /// A kill calls off what would power the node on.
    CalledOff,
    /// One host alone powers the node on.
    OneStarter,
    /// A node that lives, and that nobody powered on, is no outcome of a reset.
    AstrayRefused,
    /// An asker is refused that is being destroyed by what a broker that crashed has begun.
    DestroyerSeen,
}

/// Promises, as bits of [`State::broken`].
pub mod promise {
    /// Promise 5.
    pub const NEVER_BOTH: u8 = 1;
    /// Promise 4.
    pub const ONE_KILL: u8 = 2;
    /// Promise 6.
    pub const LIVING_GO: u8 = 4;
    /// Promise 1, as far as the protocol goes.
    pub const FENCED_IS_DEAD: u8 = 8;
    /// No node runs twice.
    pub const RUNS_ONCE: u8 = 16;
    /// After an off is proven, nothing starts the node again.
    pub const STAYS_OFF: u8 = 32;
    /// Where a node's fence is known, nobody waits for its `go`.
    pub const DEAD_REFUSED: u8 = 64;

    /// What each is called.
    pub const NAMES: [(u8, &str); 7] = [
        (NEVER_BOTH, "never both"),
        (ONE_KILL, "one request, one kill"),
        (LIVING_GO, "no kill without a living go"),
        (FENCED_IS_DEAD, "fenced is dead"),
        (RUNS_ONCE, "a node runs once"),
        (STAYS_OFF, "off stays off"),
        (DEAD_REFUSED, "a dead asker is refused"),
    ];
}
