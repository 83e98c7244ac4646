//! The same disks in every spelling, and bytes that are no configuration: tests by generated texts.

use super::tests::{HVM, doubts, xl, xm};
use super::{DomainConfig, Value};

/// A small generator of numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

/// The same disks, written in every way that the grammar allows.
#[test]
fn no_spelling_of_a_file_loses_a_disk() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for round in 0..2_000 {
        let count = dice.roll(6);
        let mut text = String::new();
        let blank = |dice: &mut Dice| dice.pick(&["", " ", "\t", "  "]).to_owned();
        let gap =
            |dice: &mut Dice| dice.pick(&["", " ", "\n", "\n  ", " # x, ]'\n", "\n\n"]).to_owned();
        let mut list = false;
        for number in 0..count {
            let quote = dice.pick(&["'", "\""]);
            let spec = dice.pick(&["phy:/d/N,xvda,w", "/d/N,,xvda", "vdev=xvda,target=/d/N"]);
            let spec = spec.replace('N', &number.to_string());
            let begin = match (list, number) {
                (false, 0) => format!("disk{}={}[", blank(&mut dice), blank(&mut dice)),
                (false, _) => format!("disk{}+= [", blank(&mut dice)),
                (true, _) => ",".to_owned(),
            };
            let item = format!("{begin}{}{quote}{spec}{quote}{}", gap(&mut dice), gap(&mut dice));
            text.push_str(&item);
            list = dice.roll(2) == 0;
            if !list || number + 1 == count {
                let comma = dice.pick(&["", ",", ",\n"]);
                text.push_str(comma);
                text.push(']');
                text.push_str(dice.pick(&["\n", ";", " # ]\n", ";;\n", "\nname = 'a]'\n"]));
                list = false;
            }
        }
        let targets = |config: &DomainConfig| -> Vec<String> {
            config.disks().iter().map(|disk| disk.target.clone()).collect()
        };
        let wanted: Vec<_> = (0..count).map(|number| format!("/d/{number}")).collect();
        let config = xl(&text);
        assert_eq!((targets(&config), config.doubts()), (wanted, &[][..]), "{round}: {text:?}");
        // xm knows the first of the three ways alone, and says so of the others.
        let config = xm(&text);
        assert!(targets(&config).len() == count || !config.doubts().is_empty(), "{text:?}");
    }
}

/// Every item of the list is a disk or a doubt, whatever has become of the text; and there is an end.
#[test]
fn no_bytes_make_it_panic_or_lose_what_it_has_read() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let pieces = [
        "[", "]", ",", "=", "+=", ";", "\n", "'", "\"", "\\", "#", "disk", "\u{fc}", "\r", "0x",
        ":", "(",
    ];
    for round in 0..4_000 {
        let mut text: Vec<char> = if round % 4 == 0 { Vec::new() } else { HVM.chars().collect() };
        for _ in 0..dice.roll(40) {
            let at = dice.roll(text.len() + 1);
            if dice.roll(3) == 0 && at < text.len() {
                text.remove(at);
            } else {
                let piece: Vec<char> = dice.pick(&pieces).chars().collect();
                text.splice(at..at, piece);
            }
        }
        let text: String = text.into_iter().collect();
        for config in [xl(&text), xm(&text)] {
            let items = match config.settings.get("disk").map(|setting| &setting.value) {
                Some(Value::List(items)) => items.len(),
                Some(Value::Text(_)) | None => 0,
            };
            let about_disks = config.doubts().len();
            assert!(config.disks().len() <= items);
            assert!(config.disks().len() + about_disks >= items, "{text:?}");
        }
        // What was written whole and in a list of its own is still there, or there is a doubt.
        let whole = format!("{text}\n']\"\n]\n'\n\ndisk = ['/d/last,,xvda']\n");
        let config = xl(&whole);
        assert!(config.disks().iter().any(|disk| disk.target == "/d/last"), "{whole:?}");
    }
    let deep = "[".repeat(200_000);
    assert_eq!(doubts(&xl(&format!("disk = {deep}"))), [1]);
    let _ = xm(&format!("disk = {deep}\n{}", "'".repeat(100_000)));
}
