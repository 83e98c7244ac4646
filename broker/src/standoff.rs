//! What stands between `ready` and `go`: promise 6. No kill begins but on the word of an asker
//! that lives.
//!
//! A destroyed or frozen asker sends no FIN, and sshd and sudo can sit for longer than a node
//! lives. So the broker settles everything first, says so, and acts only on an answer to that.
//! Here is the rule, without session or lock; `serve` gives it both.

use crate::clock::Moment;
use crate::session::Heard;
use std::time::Duration;
use xen_fence_protocol::{ClientLine, GO_BY, READY_SILENCE, Refusal, RequestId, WAIT_IN_ALL};

/// After the lock has been let go, a late `go` is still heard, and refused, for this long.
const LATE: Duration = Duration::from_secs(3);

/// One `ready` that waits for its `go`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Standoff {
    id: RequestId,
    /// Whether it kills: only then are several dom0s asked for it side by side.
    kills: bool,
    go_by: Moment,
    /// It is over then, whatever is heard.
    in_all: Moment,
    /// The end of the silence that is borne now.
    silence: Moment,
    let_go: bool,
}

/// What follows from what was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Listen on.
    Listen,
    /// Let go of the lock, and listen on, to refuse a late `go` as what it is.
    LetGo,
    /// The asker lives and means it.
    Go(Then),
    /// The agent is gone; nothing was touched.
    Gone,
    /// Refuse it; nothing was touched.
    Refuse(Refusal, String),
}

/// What shall become of the node after the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Then {
    /// A reset powers it on: no other dom0 was asked.
    Start,
    /// It is left off here. The asker will ask to look again.
    LeaveOff,
    /// The asker will ask to look again, and a reset powers it on when it says so.
    OnWord,
}

impl Standoff {
    /// `ready` has just been said in answer to a request that had been read at `asked_at`.
    #[must_use]
    pub const fn new(id: RequestId, kills: bool, asked_at: Moment, now: Moment) -> Self {
        Self {
            id,
            kills,
            go_by: asked_at.after(GO_BY),
            in_all: now.after(WAIT_IN_ALL),
            silence: now.after(READY_SILENCE),
            let_go: false,
        }
    }

    /// How long is listened; to hear nothing until then counts as silence.
    #[must_use]
    pub fn until(&self) -> Moment {
        self.silence.min(self.in_all)
    }

    /// Takes what was heard.
    pub fn hear(&mut self, heard: &Heard, now: Moment) -> Next {
        if self.let_go {
            return Self::too_late(heard);
        }
        match heard {
            Heard::Line(ClientLine::Go(id)) if *id == self.id => self.go(Then::Start, now),
            Heard::Line(ClientLine::GoOff(id)) if *id == self.id && self.kills => {
                self.go(Then::LeaveOff, now)
            }
            Heard::Line(ClientLine::GoLater(id)) if *id == self.id && self.kills => {
                self.go(Then::OnWord, now)
            }
            Heard::Line(ClientLine::Wait(id)) if *id == self.id && now <= self.until() => {
                self.silence = now.after(READY_SILENCE);
                Next::Listen
            }
            Heard::Line(ClientLine::Wait(id)) if *id == self.id => self.let_go(now),
            Heard::Silence => self.let_go(now),
            Heard::Gone => Next::Gone,
            Heard::Malformed(error) => Next::Refuse(Refusal::Malformed, error.to_string()),
            Heard::Line(_) => {
                let text = "after ready only go or wait of the same request can come";
                Next::Refuse(Refusal::Malformed, text.to_owned())
            }
        }
    }

    fn go(&mut self, then: Then, now: Moment) -> Next {
        if now > self.until() {
            // It was on its way while nobody looked at the clock.
            return late("the time for it was over when it was read");
        }
        if now > self.go_by {
            return late(&format!("it came more than {} s after the request", GO_BY.as_secs()));
        }
        Next::Go(then)
    }

    fn let_go(&mut self, now: Moment) -> Next {
        self.let_go = true;
        self.silence = now.after(LATE);
        self.in_all = self.silence;
        Next::LetGo
    }

    fn too_late(heard: &Heard) -> Next {
        if let Heard::Line(ClientLine::Go(_) | ClientLine::GoOff(_) | ClientLine::GoLater(_)) =
            heard
        {
            return late("the cluster's lock had been let go, because nothing was heard in time");
        }
        let text = format!(
            "no go came within {} s of ready or of the last wait, {} s in all",
            READY_SILENCE.as_secs(),
            WAIT_IN_ALL.as_secs()
        );
        Next::Refuse(Refusal::NoGo, text)
    }
}

fn late(why: &str) -> Next {
    Next::Refuse(
        Refusal::LateGo,
        format!("the go is too late: {why}; nothing was touched, ask anew"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use xen_fence_protocol::WireError;

    const ID: RequestId = RequestId::from_bits(7);
    const OTHER: RequestId = RequestId::from_bits(8);

    fn at(seconds: u64) -> Moment {
        Moment::since_boot(Duration::from_secs(100 + seconds))
    }

    fn fresh() -> Standoff {
        Standoff::new(ID, true, at(0), at(0))
    }

    fn line(line: ClientLine) -> Heard {
        Heard::Line(line)
    }

    fn reason(next: Next) -> Refusal {
        match next {
            Next::Refuse(reason, _) => reason,
            next @ (Next::Listen | Next::LetGo | Next::Go(_) | Next::Gone) => {
                panic!("{next:?}")
            }
        }
    }

    #[test]
    fn go_of_the_same_request_in_time_is_all_that_kills() {
        for (go, then) in [
            (ClientLine::Go(ID), Then::Start),
            (ClientLine::GoOff(ID), Then::LeaveOff),
            (ClientLine::GoLater(ID), Then::OnWord),
        ] {
            assert_eq!(fresh().hear(&line(go), at(1)), Next::Go(then));
        }
        for heard in [
            line(ClientLine::Go(OTHER)),
            line(ClientLine::GoOff(OTHER)),
            line(ClientLine::GoLater(OTHER)),
            line(ClientLine::Start(ID)),
            line(ClientLine::Wait(OTHER)),
            line(ClientLine::Look(ID)),
            Heard::Malformed(WireError::Empty),
        ] {
            assert_eq!(reason(fresh().hear(&heard, at(1))), Refusal::Malformed, "{heard:?}");
        }
        let mut on = Standoff::new(ID, false, at(0), at(0));
        assert_eq!(reason(on.hear(&line(ClientLine::GoOff(ID)), at(1))), Refusal::Malformed);
        let mut on = Standoff::new(ID, false, at(0), at(0));
        assert_eq!(reason(on.hear(&line(ClientLine::GoLater(ID)), at(1))), Refusal::Malformed);
        assert_eq!(fresh().hear(&Heard::Gone, at(1)), Next::Gone);
    }

    #[test]
    fn a_go_after_forty_seconds_or_after_its_time_is_late() {
        let mut slow = Standoff::new(ID, true, at(0), at(39));
        assert_eq!(reason(slow.hear(&line(ClientLine::Go(ID)), at(41))), Refusal::LateGo);
        assert_eq!(reason(fresh().hear(&line(ClientLine::Go(ID)), at(3))), Refusal::LateGo);
        // In the last moment is in time.
        let mut slow = Standoff::new(ID, true, at(0), at(39));
        assert_eq!(slow.hear(&line(ClientLine::Go(ID)), at(40)), Next::Go(Then::Start));
        assert_eq!(fresh().hear(&line(ClientLine::Go(ID)), at(2)), Next::Go(Then::Start));
    }

    #[test]
    fn wait_gives_two_seconds_more_and_five_in_all() {
        let mut waits = fresh();
        for second in [1, 3, 4] {
            assert_eq!(waits.hear(&line(ClientLine::Wait(ID)), at(second)), Next::Listen);
        }
        assert_eq!(waits.until(), at(5));
        assert_eq!(waits.hear(&line(ClientLine::Wait(ID)), at(6)), Next::LetGo);
    }

    #[test]
    fn silence_lets_the_lock_go_and_a_go_after_that_is_refused() {
        let mut silent = fresh();
        assert_eq!(silent.until(), at(2));
        assert_eq!(silent.hear(&Heard::Silence, at(2)), Next::LetGo);
        assert_eq!(silent.until(), at(5));
        let mut other = silent.clone();
        assert_eq!(reason(silent.hear(&line(ClientLine::Go(ID)), at(3))), Refusal::LateGo);
        assert_eq!(reason(other.hear(&Heard::Silence, at(5))), Refusal::NoGo);
    }
}
