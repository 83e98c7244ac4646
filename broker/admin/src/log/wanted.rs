//! Which records are asked for.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use xen_fence_broker::clock::{show_wall, wall_seconds};

/// A time to the second, as records have it: they are compared as texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Since(String);

/// `2026-11-21T09:54:16`: what all times of records have.
const TO_THE_SECOND: usize = 19;

impl Since {
    /// Reads `2d`, a date, or a time by RFC 3339; without an offset it is UTC.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let seconds =
            ago(text).map(|span| wall_seconds().saturating_sub(span)).or_else(|| at(text));
        let shown = seconds.map(show_wall).filter(|shown| shown.len() > TO_THE_SECOND);
        let shown = shown.and_then(|shown| Some(shown.get(..TO_THE_SECOND)?.to_owned()));
        shown.map(Self).ok_or_else(|| {
            "write 45s, 90m, 2h, 3d or 2w, or a time as 2026-11-21, 2026-11-21T09:54:16Z or \
             2026-11-21T10:54:16+01:00"
                .to_owned()
        })
    }

    /// Whether something of this time is wanted. What has no time that can be read is never hidden.
    fn includes(&self, time: &str) -> bool {
        let to_the_second = time.get(..TO_THE_SECOND).filter(|time| is_time(time));
        to_the_second.is_none_or(|time| time >= self.0.as_str())
    }
}

/// How many seconds `2d` is.
fn ago(text: &str) -> Option<i64> {
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let number = text.get(..text.len().checked_sub(1)?)?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| number.parse::<i64>().ok()?.checked_mul(unit)).flatten()
}

/// The time that a text names, in seconds.
fn at(text: &str) -> Option<i64> {
    let midnight = format!("{text}T00:00:00Z");
    let utc = format!("{text}Z");
    let read = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let time = read(text).or_else(|| read(&utc)).or_else(|| read(&midnight))?;
    Some(time.unix_timestamp())
}

fn is_time(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    })
}

/// What a record has to have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// It is about this node, or of what the node asked.
    pub(crate) node: Option<String>,
    /// It is not older.
    pub(crate) since: Option<Since>,
    /// It is a refusal, or the count of some.
    pub(crate) refused: bool,
}

impl Wanted {
    pub(super) fn includes(&self, record: &Map<String, Value>) -> bool {
        let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
        let of_node = self.node.as_deref().is_none_or(|node| {
            let asks = text("caller").strip_prefix("node ").unwrap_or_default();
            node.eq_ignore_ascii_case(text("node")) || node.eq_ignore_ascii_case(asks)
        });
        let refused = || match text("event") {
            "refused" => true,
            "summary" => text("of") == "refused",
            _ => false,
        };
        of_node
            && (!self.refused || refused())
            && self.since.as_ref().is_none_or(|since| since.includes(text("time")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn includes(wanted: &Wanted, json: &str) -> bool {
        wanted.includes(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn since_is_a_span_a_date_or_a_time_of_any_zone() {
        for (text, shown) in [
            ("2026-11-21", "2026-11-21T00:00:00"),
            ("2026-11-21T09:54:16Z", "2026-11-21T09:54:16"),
            ("2026-11-21T09:54:16", "2026-11-21T09:54:16"),
            ("2026-11-21T09:54:16.880Z", "2026-11-21T09:54:16"),
            ("2026-11-21T10:54:16+01:00", "2026-11-21T09:54:16"),
        ] {
            assert_eq!(Since::parse(text).unwrap(), Since(shown.to_owned()), "{text}");
        }
        let ago = |text: &str| Since::parse(text).unwrap().0;
        assert!(ago("2d") < ago("1d") && ago("1w") < ago("6d") && ago("90m") < ago("1h"));
        let now = show_wall(wall_seconds());
        assert!(ago("0s").as_str() <= &now[..19] && ago("1h").as_str() < &now[..19]);
        for bad in
            ["", "d", "2", "-2d", "2y", "2 d", "yesterday", "2026-13-01", "99999999999999999d"]
        {
            assert!(Since::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_has_no_time_is_not_hidden() {
        let since = Some(Since::parse("2026-11-21").unwrap());
        let wanted = Wanted { since, ..Wanted::default() };
        assert!(!includes(&wanted, r#"{"time":"2026-11-20T23:59:59.999Z"}"#));
        assert!(includes(&wanted, r#"{"time":"2026-11-21T00:00:00.000Z"}"#));
        for odd in [r#"{"time":"unknown"}"#, "{}", r#"{"time":7}"#, r#"{"time":"1999-bad"}"#] {
            assert!(includes(&wanted, odd), "{odd}");
        }
    }

    #[test]
    fn a_nodes_records_are_those_about_it_and_of_what_it_asked() {
        let wanted = Wanted { node: Some("Node1".to_owned()), ..Wanted::default() };
        for (json, is) in [
            (r#"{"node":"node1","caller":"node node2"}"#, true),
            (r#"{"node":"node2","caller":"node NODE1"}"#, true),
            (r#"{"node":"node2","caller":"operator node1"}"#, false),
            (r#"{"node":"node11"}"#, false),
            ("{}", false),
        ] {
            assert_eq!(includes(&wanted, json), is, "{json}");
        }
    }

    #[test]
    fn refusals_are_those_that_are_counted_too() {
        let wanted = Wanted { refused: true, ..Wanted::default() };
        assert!(includes(&wanted, r#"{"event":"refused"}"#));
        assert!(includes(&wanted, r#"{"event":"summary","of":"refused"}"#));
        assert!(!includes(&wanted, r#"{"event":"summary","of":"rehearsal"}"#));
        assert!(!includes(&wanted, r#"{"event":"outcome","result":"refused"}"#));
    }
}
