use super::*;
use crate::name::{NodeName, RequestId, Text};

const SOON: Duration = Duration::from_millis(100);

fn node() -> NodeName {
    NodeName::parse("node2").unwrap()
}

fn request(action: Action) -> Request {
    Request::new(RequestId::from_bits(7), action, Some(node())).unwrap()
}

fn ready(power: Power) -> Body {
    Body::Ready { node: node(), power, asker: Asker::Here, hold: Hold::None }
}

fn held(power: Power, hold: Hold) -> Body {
    Body::Ready { node: node(), power, asker: Asker::Here, hold }
}

fn fenced(how: How) -> Body {
    Body::Fenced { node: node(), how }
}

fn going() -> Body {
    Body::Note { about: Note::Going, text: Text::escaped("go was heard in time") }
}

fn seen(power: Power) -> Body {
    Body::Seen { node: node(), power }
}

fn refused(reason: Refusal) -> Body {
    Body::Refused { reason, text: Text::escaped("because") }
}

/// A round under way, with what it has said: `host word`.
struct Play {
    round: Round,
    now: Duration,
    said: Vec<String>,
}

impl Play {
    fn of(action: Action, hosts: usize) -> Self {
        let round = Round::new(request(action), hosts, Duration::ZERO);
        let mut play = Self { round, now: Duration::ZERO, said: Vec::new() };
        play.step(Event::Tick);
        play
    }

    fn step(&mut self, event: Event<'_>) {
        let said = self.round.step(event, self.now);
        self.said.extend(said.iter().map(|say| format!("{} {}", say.host, say.line.word())));
    }

    fn hear(mut self, host: usize, body: &Body) -> Self {
        self.step(Event::Reply(host, body));
        self
    }

    fn lost(mut self, host: usize) -> Self {
        self.step(Event::Lost(host));
        self
    }

    fn later(mut self, pause: Duration) -> Self {
        self.now += pause;
        self.step(Event::Tick);
        self
    }

    #[track_caller]
    fn says(mut self, lines: &[&str]) -> Self {
        assert_eq!(self.said, lines);
        self.said.clear();
        self
    }

    #[track_caller]
    fn ends(&self, outcome: Outcome) {
        assert_eq!(self.round.standing(), Standing::Ended(outcome));
    }
}

#[test]
fn one_host_is_asked_and_told_to_go() {
    Play::of(Action::Reset, 1)
        .says(&["0 request"])
        .later(SOON)
        .hear(0, &ready(Power::On))
        .says(&["0 go"])
        .hear(0, &fenced(How::Killed))
        .says(&[])
        .ends(Outcome::Fenced);
}

#[test]
fn several_are_asked_one_after_the_other_and_told_when_the_first_confirms() {
    let play = Play::of(Action::Reset, 3)
        .says(&["0 request"])
        .hear(0, &ready(Power::Off))
        .says(&["1 request"])
        .hear(1, &ready(Power::On))
        .says(&["2 request"])
        .hear(2, &ready(Power::Off))
        .says(&["0 go-off"])
        .hear(0, &going())
        .says(&["1 go-later", "2 go-off"])
        .hear(1, &fenced(How::Killed))
        .hear(0, &fenced(How::Absent))
        .says(&[])
        .hear(2, &fenced(How::Absent))
        .says(&["0 look", "1 look", "2 look"])
        .hear(0, &seen(Power::Off))
        .hear(1, &seen(Power::Off));
    assert_eq!(play.round.standing(), Standing::Going);
    assert_eq!(play.round.starter(), Some(1));
    play.hear(2, &seen(Power::Off)).says(&["1 start"]).ends(Outcome::Fenced);
}

#[test]
fn an_off_is_told_to_all_alike() {
    let play = Play::of(Action::Off, 2).hear(0, &ready(Power::Off)).hear(1, &ready(Power::Off));
    play.hear(0, &going()).says(&["0 request", "1 request", "0 go-off", "1 go-off"]);
}

#[test]
fn a_first_host_that_does_not_confirm_leaves_the_others_untold() {
    let told = || {
        let play = Play::of(Action::Off, 2).hear(0, &ready(Power::Off)).hear(1, &ready(Power::On));
        play.says(&["0 request", "1 request", "0 go-off"])
    };
    // It had let go of its lock, and nobody else was told: the same can be asked anew.
    let late = told().hear(0, &refused(Refusal::LateGo)).says(&[]);
    assert_eq!(late.round.standing(), Standing::Again);
    assert_eq!(late.round.give_up(), Outcome::Untouched(Why::TooLate));
    told().lost(0).says(&[]).ends(Outcome::Unknown(Why::Lost(0)));
    // Meanwhile the other one is kept waiting, and may have had enough.
    told().later(WAIT_EVERY).says(&["0 wait", "1 wait"]);
    let enough = told().hear(1, &refused(Refusal::NoGo));
    assert_eq!(enough.round.standing(), Standing::Going);
    enough.hear(0, &fenced(How::Absent)).says(&[]).ends(Outcome::Unknown(Why::Said(1)));
    // A proof is a confirmation, too.
    told().hear(0, &fenced(How::Absent)).says(&["1 go-off"]);
}

#[test]
fn who_is_ready_hears_wait_until_all_are() {
    Play::of(Action::Off, 2)
        .hear(0, &ready(Power::On))
        .says(&["0 request", "1 request"])
        .later(SOON)
        .says(&[])
        .later(WAIT_EVERY)
        .says(&["0 wait"])
        .later(WAIT_EVERY)
        .says(&["0 wait"]);
}

#[test]
fn a_round_that_takes_too_long_begins_anew_and_is_over_after_forty_seconds() {
    let play = Play::of(Action::Off, 2).hear(0, &ready(Power::On)).later(COLLECTED_BY);
    assert_eq!(play.round.standing(), Standing::Again);
    assert_eq!(play.round.give_up(), Outcome::Untouched(Why::TooLate));
    let let_go = Play::of(Action::Off, 2).hear(0, &ready(Power::On));
    let let_go = let_go.hear(0, &refused(Refusal::NoGo));
    assert_eq!(let_go.round.standing(), Standing::Again);
    Play::of(Action::Off, 1).later(GO_BY).ends(Outcome::Untouched(Why::TooLate));
}

#[test]
fn nobody_is_told_to_go_when_one_refuses_or_is_lost() {
    let begun = || Play::of(Action::Off, 2).hear(0, &ready(Power::On));
    begun()
        .hear(1, &refused(Refusal::AskerDying))
        .says(&["0 request", "1 request"])
        .ends(Outcome::Untouched(Why::Said(1)));
    begun().lost(1).ends(Outcome::Untouched(Why::Lost(1)));
    begun().lost(0).ends(Outcome::Untouched(Why::Lost(0)));
    begun().hear(1, &fenced(How::Killed)).ends(Outcome::Untouched(Why::OutOfPlace(1)));
}

#[test]
fn a_hold_anywhere_stops_all_unless_the_node_is_off_everywhere() {
    Play::of(Action::Off, 2)
        .hear(0, &held(Power::Off, Hold::Forbid))
        .hear(1, &ready(Power::On))
        .ends(Outcome::Untouched(Why::Held(0)));
    let play = Play::of(Action::Off, 2)
        .hear(0, &held(Power::Off, Hold::Forbid))
        .hear(1, &ready(Power::Off));
    assert!(play.round.has_gone());
}

#[test]
fn after_go_everything_but_proof_by_all_is_unknown() {
    let gone = || {
        let play = Play::of(Action::Off, 2).hear(0, &ready(Power::On)).hear(1, &ready(Power::Off));
        let play = play.hear(0, &going());
        assert_eq!(play.round.give_up(), Outcome::Unknown(Why::TooLate));
        play
    };
    let (killed, absent) = (fenced(How::Killed), fenced(How::Absent));
    gone().hear(0, &killed).lost(1).ends(Outcome::Unknown(Why::Lost(1)));
    let late = refused(Refusal::LateGo);
    gone().hear(1, &late).lost(1).hear(0, &killed).ends(Outcome::Unknown(Why::Said(1)));
    let looked = || gone().hear(0, &killed).hear(1, &absent);
    looked().hear(0, &seen(Power::Off)).lost(1).ends(Outcome::Unknown(Why::Lost(1)));
    for power in [Power::On, Power::Unknown] {
        looked()
            .hear(1, &seen(power))
            .hear(0, &seen(Power::Off))
            .ends(Outcome::Unknown(Why::SeenAgain(1)));
    }
    looked()
        .hear(1, &seen(Power::Off))
        .hear(1, &refused(Refusal::NoGo))
        .hear(0, &seen(Power::Off))
        .ends(Outcome::Fenced);
}

#[test]
fn a_shell_is_no_kill_unless_somebody_killed_the_node() {
    let gone = || {
        let play = Play::of(Action::Off, 2).hear(0, &ready(Power::On)).hear(1, &ready(Power::On));
        play.hear(0, &going())
    };
    let shell = fenced(How::Shell);
    gone().hear(0, &shell).hear(1, &fenced(How::Absent)).ends(Outcome::Unknown(Why::Shell(0)));
    gone()
        .hear(0, &shell)
        .hear(1, &fenced(How::Killed))
        .hear(0, &seen(Power::Off))
        .hear(1, &seen(Power::Off))
        .ends(Outcome::Fenced);
    let alone = Play::of(Action::Off, 1).hear(0, &ready(Power::On));
    alone.hear(0, &shell).ends(Outcome::Unknown(Why::Shell(0)));
}

#[test]
fn a_reset_that_joined_an_earlier_one_may_see_the_node_run_again() {
    let looked = |action, before| {
        let play = Play::of(action, 2).hear(0, &ready(before)).hear(1, &ready(Power::Off));
        let play = play.hear(0, &fenced(How::Joined)).hear(1, &fenced(How::Absent));
        play.hear(1, &seen(Power::Off)).hear(0, &seen(Power::On))
    };
    for power in [Power::On, Power::Unknown] {
        looked(Action::Reset, power).ends(Outcome::Fenced);
    }
    looked(Action::Off, Power::On).ends(Outcome::Unknown(Why::SeenAgain(0)));
    // It was off, and nobody was about to start it: it has come from another host.
    looked(Action::Reset, Power::Off).ends(Outcome::Unknown(Why::SeenAgain(0)));
}

#[test]
fn one_host_that_refuses_a_late_go_can_be_asked_anew() {
    let play = Play::of(Action::Off, 1).hear(0, &ready(Power::On));
    let play = play.hear(0, &refused(Refusal::LateGo));
    assert_eq!(play.round.standing(), Standing::Again);
    assert_eq!(play.round.give_up(), Outcome::Untouched(Why::TooLate));
}

#[test]
fn a_reset_is_powered_on_where_it_was_by_a_host_that_can() {
    let starter = |bodies: [Body; 2], cannot: Option<usize>| {
        let mut play = Play::of(Action::Reset, 2);
        if let Some(host) = cannot {
            let text = Text::escaped("no configuration");
            play = play.hear(host, &Body::Note { about: Note::Config, text });
        }
        let play = play.hear(0, &bodies[0]).hear(1, &bodies[1]);
        play.round.starter().unwrap()
    };
    let (on, off) = (|| ready(Power::On), || ready(Power::Off));
    assert_eq!(starter([off(), on()], None), 1);
    assert_eq!(starter([off(), ready(Power::Unknown)], None), 1);
    assert_eq!(starter([off(), off()], None), 0);
    assert_eq!(starter([off(), off()], Some(0)), 1);
    // Where it was it cannot be started, elsewhere it can.
    assert_eq!(starter([on(), off()], Some(0)), 1);
}

#[test]
fn who_will_start_it_is_kept_waiting_while_others_look_again() {
    let play = Play::of(Action::Reset, 2).hear(0, &ready(Power::Off)).hear(1, &ready(Power::On));
    let play = play.hear(0, &going()).hear(0, &fenced(How::Absent));
    let play = play.hear(1, &fenced(How::Killed)).hear(1, &seen(Power::Off));
    play.says(&["0 request", "1 request", "0 go-off", "1 go-later", "0 look", "1 look"])
        .later(WAIT_EVERY)
        .says(&["1 wait"])
        .hear(0, &seen(Power::Off))
        .says(&["1 start"])
        .ends(Outcome::Fenced);
}

#[test]
fn who_was_kept_waiting_for_its_request_by_another_is_asked_anew() {
    let play = Play::of(Action::Off, 2).hear(1, &refused(Refusal::Malformed));
    assert_eq!((play.round.standing(), play.round.awaited()), (Standing::Again, Some(0)));
}

#[test]
fn no_host_that_the_node_cannot_run_on_powers_it_on() {
    let unfit = Text::escaped("no configuration");
    let unfit = Body::Note { about: Note::Config, text: unfit };
    for note in [None, Some(unfit)] {
        let mut play = Play::of(Action::Reset, 2);
        play.round.cannot_run_on(0);
        let play = play.hear(0, &ready(Power::Off));
        let play = note.iter().fold(play, |play, note| play.hear(1, note));
        let play = play.hear(1, &ready(Power::Off)).hear(0, &going());
        play.says(&["0 request", "1 request", "0 go-off", "1 go-later"]);
    }
}

#[test]
fn what_is_left_off_anywhere_is_left_off_everywhere() {
    for (hold, power) in [(Hold::LeaveOff, Power::On), (Hold::Forbid, Power::Off)] {
        Play::of(Action::Reset, 2)
            .hear(0, &held(Power::Off, hold))
            .hear(1, &ready(power))
            .hear(0, &going())
            .says(&["0 request", "1 request", "0 go-off", "1 go-off"]);
    }
    let text = Text::escaped("four resets in ten minutes");
    Play::of(Action::Reset, 1)
        .hear(0, &Body::Note { about: Note::LeftOff, text })
        .hear(0, &ready(Power::On))
        .says(&["0 request", "0 go"]);
}

#[test]
fn it_tells_who_is_waited_for_whether_the_asker_is_seen_and_whether_go_was_said() {
    let elsewhere =
        |power| Body::Ready { node: node(), power, asker: Asker::Elsewhere, hold: Hold::None };
    let play = Play::of(Action::Off, 2);
    assert_eq!((play.round.awaited(), play.round.asker_is_seen()), (Some(0), false));
    let play = play.hear(0, &ready(Power::On));
    assert_eq!((play.round.awaited(), play.round.asker_is_seen()), (Some(1), true));
    assert!(!play.round.has_gone());
    let play = play.hear(1, &elsewhere(Power::Off));
    assert_eq!((play.round.awaited(), play.round.asker_is_seen()), (None, true));
    assert!(play.round.has_gone());
    let play = Play::of(Action::Off, 2).hear(0, &elsewhere(Power::On));
    assert!(!play.hear(1, &elsewhere(Power::Off)).round.asker_is_seen());
}

#[test]
fn what_is_said_of_another_node_is_out_of_place() {
    let other = || NodeName::parse("node3").unwrap();
    let body =
        Body::Ready { node: other(), power: Power::On, asker: Asker::Here, hold: Hold::None };
    Play::of(Action::Off, 1).hear(0, &body).ends(Outcome::Untouched(Why::OutOfPlace(0)));
    let gone = Play::of(Action::Off, 1).hear(0, &ready(Power::On));
    let body = Body::Fenced { node: other(), how: How::Killed };
    gone.hear(0, &body).ends(Outcome::Unknown(Why::OutOfPlace(0)));
    let looking = Play::of(Action::Off, 2)
        .hear(0, &ready(Power::On))
        .hear(1, &ready(Power::Off))
        .hear(0, &fenced(How::Killed))
        .hear(1, &fenced(How::Absent))
        .hear(1, &seen(Power::Off));
    let body = Body::Seen { node: other(), power: Power::Off };
    looking.hear(0, &body).ends(Outcome::Unknown(Why::OutOfPlace(0)));
}

/// By then the second has been told to go.
#[test]
fn a_late_go_that_was_confirmed_before_is_no_reason_to_begin_anew() {
    let play = Play::of(Action::Off, 2)
        .hear(0, &ready(Power::On))
        .hear(1, &ready(Power::Off))
        .hear(0, &going())
        .hear(0, &refused(Refusal::LateGo));
    assert_eq!(play.round.standing(), Standing::Going);
    play.hear(1, &fenced(How::Absent)).ends(Outcome::Unknown(Why::Said(0)));
}
