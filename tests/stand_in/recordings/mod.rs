//! The stand-in held to the recordings of the real hypervisor: the script that made them runs in a
//! throwaway dom0, and what it writes there is compared with them, step by step.
//!
//! What still differs stands in `differences`, each with its reason. The test fails for one that is
//! not there, and for one that is there and is no more.

mod differences;
mod normal;

use differences::{KNOWN, NOT_RUN};
use normal::{merged, normal};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use xen_fence_tests::throwaway::Dom0;

/// What was recorded, step by step, and for each group the domid that it began with.
struct Recordings {
    steps: BTreeMap<String, String>,
    groups: Vec<(String, u32)>,
}

fn read(directory: &Path) -> Recordings {
    let mut read = Recordings { steps: BTreeMap::new(), groups: Vec::new() };
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if let Some(step) = name.strip_suffix(".txt") {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            read.steps.insert(step.to_owned(), text);
        } else if let Some(group) = name.strip_prefix("group.") {
            let text = fs::read_to_string(&path).unwrap();
            let first = text.split_whitespace().find_map(|word| word.strip_prefix("first-domid="));
            read.groups.push((group.to_owned(), first.unwrap().parse().unwrap()));
        }
    }
    read
}

fn groups_by_wait(groups: &Mutex<Vec<(String, u32)>>) {
    const WAIT: [&str; 6] = ["pause", "migrate", "nostore", "hung", "reboot", "dying"];
    let mut groups = groups.lock().unwrap();
    groups.sort_by_key(|(group, _)| WAIT.iter().position(|one| one == group));
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs one group of the script in a throwaway dom0 of its own.
fn replay(group: &str, first: u32) -> BTreeMap<String, String> {
    let dom0 = Dom0::builder().bare().raise().unwrap();
    let _ = dom0.sh("mkdir -p /lab/transcripts /run/transcripts").exits(0);
    for entry in fs::read_dir(repository().join("tests/transcripts")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        dom0.write(&format!("/lab/transcripts/{name}"), fs::read(&path).unwrap(), 0o755);
    }
    dom0.write("/var/lib/stand-in/next-domid", format!("{first}\n"), 0o644);
    let record = format!("/lab/transcripts/record on-stand-in /run/transcripts {group}");
    let output = dom0.sh(&record).exits(0);
    assert!(!output.says("record: "), "{output}");
    read(Path::new(&format!("/proc/{}/root/run/transcripts", dom0.init()))).steps
}

#[test]
fn the_stand_in_does_what_was_recorded() {
    let recorded = read(&repository().join("tests/data/xen-4.17"));
    let groups = recorded.groups.into_iter();
    let groups = groups.filter(|(group, _)| NOT_RUN.iter().all(|(not_run, _)| not_run != group));
    let (waiting, seen) = (Mutex::new(groups.collect()), Mutex::new(BTreeMap::new()));
    // They wait more than they work; those that wait longest begin first, at the end of the list.
    groups_by_wait(&waiting);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().pop();
                    let Some(group) = next else { return };
                    let steps = replay(&group.0, group.1);
                    seen.lock().unwrap().insert(group, steps);
                }
            });
        }
    });
    let recorded = comparable(recorded.steps.iter());
    let mut seen = seen.into_inner().unwrap();
    // A machine with much else to do gets to some things too late: what differs is done again.
    for _ in 0..2 {
        for ((group, first), steps) in &mut seen {
            let ours = comparable(steps.iter());
            if ours.iter().any(|(step, ours)| compare(step, recorded.get(step), ours).is_some()) {
                *steps = replay(group, *first);
            }
        }
    }
    let seen = comparable(seen.values().flatten());
    let mut wrong: Vec<String> =
        seen.iter().filter_map(|(step, ours)| compare(step, recorded.get(step), ours)).collect();
    for step in recorded.keys().filter(|step| !seen.contains_key(*step)) {
        wrong.push(format!("{step} was not run"));
    }
    for known in KNOWN.iter().filter(|known| !recorded.contains_key(known.step)) {
        wrong.push(format!("{} is known to differ, and was never recorded", known.step));
    }
    assert!(wrong.is_empty(), "{}\n- is what real Xen did, + the stand-in", wrong.join("\n"));
}

/// What of one step is not as it was recorded, and not known either.
fn compare(step: &str, recorded: Option<&String>, ours: &str) -> Option<String> {
    let Some(recorded) = recorded else { return Some(format!("{step} was never recorded")) };
    let found = difference(recorded, ours);
    match KNOWN.iter().find(|known| known.step == step) {
        None if found.is_empty() => None,
        None => Some(format!("{step} differs:\n{found}")),
        Some(known) if known.sometimes && only(&found, known.text) => None,
        Some(_) if found.is_empty() => Some(format!("{step} differs no more")),
        Some(known) if known.text != differences::ANYTHING && known.text != found => {
            let known = known.text;
            Some(format!("{step} differs otherwise:\n{found}than is known:\n{known}"))
        }
        Some(known) if known.why.is_empty() => Some(format!("{step} differs, and why?")),
        Some(_) => None,
    }
}

/// Every step that is compared, as it is compared; the rounds of one step are one.
fn comparable<'a>(
    steps: impl Iterator<Item = (&'a String, &'a String)>,
) -> BTreeMap<String, String> {
    let mut rounds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (step, text) in steps {
        if NOT_RUN.iter().any(|(_, steps)| steps.contains(&step.as_str())) {
            continue;
        }
        let one = step.trim_end_matches(|c: char| c == '-' || c.is_ascii_digit());
        let key = if step.starts_with("77-") { one } else { step };
        rounds.entry(key.to_owned()).or_default().push(normal(step, text));
    }
    // To merge drops a line that stands twice in one step.
    let whole = |rounds: &[String]| match rounds {
        [one] => one.clone(),
        several => merged(several),
    };
    rounds.iter().map(|(step, rounds)| (step.clone(), whole(rounds))).collect()
}

/// Whether each of these lines is one of those.
fn only(lines: &str, those: &str) -> bool {
    lines.lines().all(|line| those.lines().any(|one| one == line))
}

/// The lines that only one of the two has, in order: `-` the first, `+` the second.
fn difference(one: &str, two: &str) -> String {
    let (one, two): (Vec<&str>, Vec<&str>) = (one.lines().collect(), two.lines().collect());
    // How many lines the ends of both, from here on, have in common.
    let mut common = vec![vec![0_usize; two.len() + 1]; one.len() + 1];
    for i in (0..one.len()).rev() {
        for j in (0..two.len()).rev() {
            common[i][j] = if one[i] == two[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < one.len() || j < two.len() {
        if i < one.len() && j < two.len() && one[i] == two[j] {
            (i, j) = (i + 1, j + 1);
        } else if i < one.len() && (j == two.len() || common[i + 1][j] >= common[i][j + 1]) {
            text += &format!("-{}\n", one[i]);
            i += 1;
        } else {
            text += &format!("+{}\n", two[j]);
            j += 1;
        }
    }
    text
}
