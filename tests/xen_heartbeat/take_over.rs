//! A take-over, from what went wrong to the first line of the victim's resource on the survivor and to the
//! victim's return: followed, judged, and when its steps were.

use crate::cluster::{Cluster, LONG};
use crate::course::{Course, Line, turns};
use serde_json::Value;

/// How a cluster stood before something went wrong.
pub(crate) struct Before {
    since: u64,
    lives: [Option<u32>; 2],
}

/// What came of it.
pub(crate) struct TakeOver {
    pub(crate) victim: &'static str,
    pub(crate) survivor: &'static str,
    /// The steps in their order: what, and when.
    steps: Vec<(&'static str, u64)>,
}

impl Before {
    pub(crate) fn of(cluster: Cluster, course: &Course) -> Self {
        Self { since: course.now(), lives: cluster.lives(course) }
    }
}

/// Follows a take-over, by whichever node, until the cluster is whole again; and judges it by the disk,
/// by Xen and by the journal: what the victim wrote was written before its death was on record, and what
/// the survivor wrote in its place after that.
#[track_caller]
pub(crate) fn follow(cluster: Cluster, course: &mut Course, before: &Before) -> TakeOver {
    let since = before.since;
    let taken = course.wait_for("a resource writes on the other node", LONG, |course| {
        let taken = |home: &&&str| {
            let last = course.lines(home, since).pop();
            last.is_some_and(|line| line.node == cluster.peer_of(home))
        };
        cluster.nodes.iter().find(taken).copied()
    });
    let (victim, survivor) = (taken, cluster.peer_of(taken));
    let place = usize::from(victim != cluster.nodes[0]);
    let life = before.lives[place].unwrap_or_else(|| panic!("{victim} did not live"));

    let kills = cluster.kills(course, since);
    let [kill] = kills.as_slice() else { panic!("not one kill: {kills:#?}") };
    assert_eq!(
        (kill["node"].as_str(), kill["caller"].as_str(), kill["domid"].as_u64()),
        (Some(victim), Some(&*format!("node {survivor}")), Some(life.into()))
    );
    let fenced = number(&kill["up_ms"]);
    let gone = course.gone(life).unwrap_or_else(|| panic!("{victim} still has the disk"));
    let lines = course.lines(victim, since);
    let first = handed_over(&lines, [victim, survivor], fenced, gone);
    let first = first.unwrap_or_else(|why| panic!("{why}: {lines:#?}"));
    assert_eq!(turns(&course.lines(survivor, since)), [survivor]);

    cluster.is_whole(course, fenced, &[victim]);
    let heard = |text: &str| {
        let at = course.said(survivor, text, since);
        at.unwrap_or_else(|| panic!("{survivor} has not said: {text}"))
    };
    let dead = heard(&format!("node {victim}: is dead"));
    let told = heard(&format!("output: xen-fence: {victim} fenced"));
    let slot = course.lab.node(victim).slot;
    let started = heard(&format!("resource.d/writer {slot} start"));
    assert!(dead < told && told <= started, "{dead} {told} {started}");
    let records = course.lab.journal_of(cluster.name);
    let created = records
        .iter()
        .find(|record| record["event"] == "start" && record["request"] == kill["request"]);
    let created = created.map(|record| (record["result"].clone(), number(&record["up_ms"])));
    let Some((result, created)) = created else { panic!("no power-on: {records:#?}") };
    assert_eq!(result, "started created");
    let heard_of = |node: &str, text: &str| course.said(node, text, fenced).unwrap_or_default();
    let active = format!("Status update for node {victim}: status active");
    let lines = course.lines(victim, since);
    assert_eq!(turns(&lines), [victim, survivor, victim]);
    let home = lines.iter().find(|line| line.node == victim && line.at > first);
    let home = home.map_or(0, |line| line.at);
    let asked = fenced - number(&kill["took_ms"]);
    let steps = vec![
        (DECLARED, dead),
        ("request read at dom0", asked),
        ("xl destroy begins", asked + step(kill, "aimed") - step(kill, "asked")),
        ("dom0 serves it no disk", gone),
        (FENCED, fenced),
        ("the plugin has said so", told),
        ("its resource's first write elsewhere", first),
        ("its domain is made anew", created),
        ("it starts Heartbeat", heard_of(victim, "lab-init: Heartbeat begins")),
        ("its peer sees it active", heard_of(survivor, &active)),
        ("its resource writes at home", home),
    ];
    let lives = cluster.lives(course);
    assert!(lives[place] > before.lives[place], "{lives:?}");
    assert_eq!(lives[1 - place], before.lives[1 - place]);
    assert_eq!(cluster.kills(course, since).len(), 1);
    TakeOver { victim, survivor, steps }
}

/// When the survivor first wrote to the victim's sector. Before that the victim alone wrote there, and not
/// after its death was on record; the survivor began after that, when Xen had taken the disk away.
fn handed_over(
    lines: &[Line],
    [victim, survivor]: [&str; 2],
    fenced: u64,
    gone: u64,
) -> Result<u64, String> {
    if turns(lines) != [victim, survivor] {
        return Err(format!("not one turn each, but: {:?}", turns(lines)));
    }
    let first = lines.iter().position(|line| line.node == survivor).unwrap_or_default();
    let (last, first) = (&lines[first.saturating_sub(1)], &lines[first]);
    if last.not_before > fenced {
        return Err(format!("fenced at {fenced}, and wrote after that"));
    }
    if first.not_before <= fenced {
        return Err(format!("taken over before it was fenced at {fenced}"));
    }
    if first.not_before <= gone {
        return Err(format!("taken over before its disk was gone at {gone}"));
    }
    Ok(first.at)
}

const DECLARED: &str = "its peer's Heartbeat: \"is dead\"";
const FENCED: &str = "fenced: proven and on record";

/// Prints take-overs side by side, in seconds from what went wrong in each.
pub(crate) fn table(columns: &[(&str, u64, &TakeOver)]) {
    let heads: String = columns.iter().map(|(head, _, _)| format!(" {head:>9}")).collect();
    println!("{:38}{heads}", "seconds after it");
    let [(_, _, first), ..] = columns else { return };
    for (place, (what, _)) in first.steps.iter().enumerate() {
        let times = columns.iter().map(|(_, from, of)| seconds(*from, of.steps[place].1));
        let times: String = times.map(|time| format!(" {time:>9.1}")).collect();
        println!("{what:38}{times}");
    }
    let at = |of: &TakeOver, step: &str| {
        of.steps.iter().find(|(what, _)| *what == step).map(|(_, at)| *at)
    };
    let times = columns.iter().map(|(_, _, of)| {
        let took = at(of, FENCED).zip(at(of, DECLARED)).map(|(fenced, dead)| seconds(dead, fenced));
        format!(" {:>9.1}", took.unwrap_or_default())
    });
    println!("{:38}{}", "from \"is dead\" to \"fenced\"", times.collect::<String>());
}

/// Seconds from one to the other, in ms.
#[expect(clippy::cast_precision_loss, reason = "minutes")]
fn seconds(from: u64, at: u64) -> f64 {
    at.saturating_sub(from) as f64 / 1000.0
}

/// When the broker that killed was through with a step: ms since it began.
fn step(record: &Value, name: &str) -> u64 {
    let steps = record["phases"].as_array().into_iter().flatten();
    let step = steps.into_iter().find(|step| step[0] == name);
    step.map_or(0, |step| number(&step[1]) / 1000)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn what_is_no_take_over_is_found() {
    use crate::course::line;
    let lines = |text: &[&str]| -> Vec<Line> { text.iter().map(|text| line(text)).collect() };
    let good = lines(&["200 90 a 7 3.5", "700 600 b 1 9.0", "900 800 b 2 9.2"]);
    assert_eq!(handed_over(&good, ["a", "b"], 400, 300), Ok(700));
    // The survivor began before the record, or while the disk was still the victim's; the victim wrote
    // after its death, before or after the survivor had begun; nobody took over.
    assert!(handed_over(&good, ["a", "b"], 650, 300).is_err());
    assert!(handed_over(&good, ["a", "b"], 400, 650).is_err());
    assert!(handed_over(&good, ["a", "b"], 80, 70).is_err());
    let both = lines(&["200 90 a 7 3.5", "700 600 b 1 9.0", "900 800 a 8 9.2"]);
    assert!(handed_over(&both, ["a", "b"], 400, 300).is_err());
    assert!(handed_over(&good[..1], ["a", "b"], 400, 300).is_err());
}
