//! A full listing of domains, as `xl list -v` prints it.
//!
//! The format is that of libxl's xl_vmcontrol.c (list_domains) and of our recordings on Xen 4.17.
//! A row is read from its right end, because names may hold spaces; the UUID is the anchor. One
//! row that is not understood spoils the whole listing: what is not understood may be the victim.

use crate::names::Uuid;

/// Every domain that one listing showed, dom0 among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    rows: Vec<Row>,
}

/// One domain of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The domain's number, never used twice while the host runs.
    pub domid: u32,
    /// Its name in xenstore; none for a domain being made or a corpse.
    pub name: Option<String>,
    /// Its UUID as the hypervisor knows it; none for dom0, whose UUID is nil.
    pub uuid: Option<Uuid>,
    /// What state it is in.
    pub state: RowState,
}

/// The six letters of a row's state that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// Running, blocked, paused, shut down, crashed or being made: it lives or may live.
    Living,
    /// `d`: its vCPUs will not run again, but memory is still held, by I/O in flight for one.
    Dying,
}

/// What is wrong with a listing. The line is the listing's own, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// Nothing was printed.
    #[error("the listing is empty")]
    Empty,
    /// The first line is not the header that belongs to `list -v`.
    #[error("the listing does not begin with the header of `list -v`")]
    Header,
    /// The last line has no end.
    #[error("the listing breaks off in line {0}")]
    Cut(usize),
    /// A row cannot be read.
    #[error("line {line} of the listing cannot be read: {what}")]
    Row {
        /// Which line.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// dom0 is missing, so this is not a listing of everything.
    #[error("the listing does not show dom0 itself")]
    NoDom0,
    /// A domid stands twice.
    #[error("the listing shows domid {0} twice")]
    Twice(u32),
}

const HEADER: [&str; 10] =
    ["Name", "ID", "Mem", "VCPUs", "State", "Time(s)", "UUID", "Reason-Code", "Security", "Label"];
const NAMELESS: &str = "(null)";

impl Listing {
    /// Puts a listing together and checks it as a whole.
    ///
    /// # Errors
    /// If dom0 is missing or a domid stands twice.
    pub fn of_rows(rows: Vec<Row>) -> Result<Self, ListingError> {
        let mut domids: Vec<u32> = rows.iter().map(|row| row.domid).collect();
        domids.sort_unstable();
        if domids.first() != Some(&0) {
            return Err(ListingError::NoDom0);
        }
        for (one, next) in domids.iter().zip(domids.iter().skip(1)) {
            if one == next {
                return Err(ListingError::Twice(*one));
            }
        }
        Ok(Self { rows })
    }

    /// Reads the output of `xl list -v`.
    ///
    /// # Errors
    /// The first thing in it that is not as it should be.
    pub fn parse(output: &str) -> Result<Self, ListingError> {
        if output.is_empty() {
            return Err(ListingError::Empty);
        }
        let Some(whole) = output.strip_suffix('\n') else {
            return Err(ListingError::Cut(output.lines().count()));
        };
        let mut lines = whole.split('\n');
        if !lines.next().is_some_and(|header| header.split_whitespace().eq(HEADER)) {
            return Err(ListingError::Header);
        }
        let mut rows = Vec::new();
        for (line, text) in (2..).zip(lines) {
            rows.push(Row::parse(text).map_err(|what| ListingError::Row { line, what })?);
        }
        Self::of_rows(rows)
    }

    /// The rows, in the toolstack's order.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

impl Row {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut rest = text;
        let mut from_right = |what: &'static str| {
            let trimmed = rest.trim_end();
            let start = trimmed.rfind([' ', '\t']).ok_or(what)?;
            let field = trimmed.get(start..).ok_or(what)?.trim_start();
            rest = trimmed.get(..start).ok_or(what)?;
            Ok::<&str, &'static str>(field)
        };
        let _label = from_right("no security label")?;
        let _reason = from_right("no reason code")?;
        let uuid = from_right("no UUID")?;
        let seconds = from_right("no CPU time")?;
        let state = from_right("no state")?;
        let vcpus = from_right("no number of vCPUs")?;
        let memory = from_right("no memory size")?;
        let domid = from_right("no domid")?;
        let name = rest.trim_end();

        let domid = domid.parse().map_err(|_| "the domid is no number")?;
        if memory.parse::<u64>().is_err() || vcpus.parse::<u32>().is_err() {
            return Err("memory or vCPUs are no numbers");
        }
        if seconds.parse::<f64>().is_err() {
            return Err("the CPU time is no number");
        }
        if name.is_empty() {
            return Err("no name");
        }
        let uuid = match uuid {
            "00000000-0000-0000-0000-000000000000" => None,
            text => Some(Uuid::parse(text).map_err(|_| "the UUID is none")?),
        };
        Ok(Self {
            domid,
            name: (name != NAMELESS).then(|| name.to_owned()),
            uuid,
            state: RowState::parse(state)?,
        })
    }

    /// Whether the domain lives or may live.
    #[must_use]
    pub fn lives(&self) -> bool {
        self.state == RowState::Living
    }
}

impl RowState {
    /// Reads `rbpsxd`, each letter or `-`; the fifth is the reason of a shutdown.
    fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "the state is not six letters as xl prints them";
        let letters: [char; 6] = text.chars().collect::<Vec<_>>().try_into().map_err(|_| WRONG)?;
        let [running, blocked, paused, shutdown, reason, dying] = letters;
        let well_formed = matches!(running, 'r' | '-')
            && matches!(blocked, 'b' | '-')
            && matches!(paused, 'p' | '-')
            && matches!(shutdown, 's' | '-')
            && matches!(reason, '-' | 'r' | 's' | 'c' | 'w' | 'S' | '?')
            && matches!(dying, 'd' | '-');
        match (well_formed, dying) {
            (false, _) => Err(WRONG),
            (true, 'd') => Ok(Self::Dying),
            (true, _) => Ok(Self::Living),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Name                                        ID   Mem VCPUs\tState\tTime(s)   \
                        UUID                            Reason-Code\tSecurity Label\n";
    // As recordings 13 and 82 of real Xen 4.17 have them; domids and times are of another run.
    const DOM0: &str = "Domain-0                                     0   640     2     r-----     \
                        372.5 00000000-0000-0000-0000-000000000000        -                -\n";
    const NODE1: &str = "node1                                        3   128     1     r-----      \
                         53.3 7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac        -                -\n";
    const CORPSE: &str = "(null)                                      29     0     1     --p--d       \
                          7.7 3fe687fa-5697-46cf-8365-49e31de100e0        -                -\n";

    fn parse(rows: &[&str]) -> Result<Listing, ListingError> {
        Listing::parse(&format!("{HEAD}{}", rows.concat()))
    }

    #[test]
    fn a_recorded_listing_is_read() {
        let listing = parse(&[DOM0, NODE1, CORPSE]).unwrap();
        let [dom0, node1, corpse] = listing.rows() else { panic!("{listing:?}") };
        assert_eq!((dom0.domid, dom0.uuid.as_ref()), (0, None));
        assert_eq!((node1.domid, node1.name.as_deref(), node1.lives()), (3, Some("node1"), true));
        let uuid = Uuid::parse("7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac").unwrap();
        assert_eq!(node1.uuid, Some(uuid));
        assert_eq!((corpse.domid, corpse.name.as_deref(), corpse.lives()), (29, None, false));
    }

    #[test]
    fn names_with_spaces_and_names_longer_than_the_column_are_read() {
        let spaced = NODE1.replace("node1  ", "my 1 -- ");
        let long = NODE1.replace(&format!("node1{}", " ".repeat(35)), &"n".repeat(60));
        let listing = parse(&[DOM0, &spaced]).unwrap();
        assert_eq!(listing.rows()[1].name.as_deref(), Some("my 1 --"));
        let listing = parse(&[DOM0, &long]).unwrap();
        assert_eq!(listing.rows()[1].name.as_deref(), Some("n".repeat(60).as_str()));
    }

    #[test]
    fn every_state_that_xl_prints_is_read_and_no_other() {
        for living in [
            "r-----", "-b----", "--p---", "-bp---", "---s--", "---sr-", "--psr-", "---ss-",
            "--pss-", "---sc-", "---s?-",
        ] {
            assert_eq!(RowState::parse(living), Ok(RowState::Living), "{living}");
        }
        for dying in ["--p--d", "---s-d", "-----d", "--psrd"] {
            assert_eq!(RowState::parse(dying), Ok(RowState::Dying), "{dying}");
        }
        for wrong in ["", "r----", "r------", "x-----", "-----D", "d-----", "rbpsxd"] {
            assert!(RowState::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_listing_that_is_cut_anywhere_is_no_listing() {
        let whole = format!("{HEAD}{DOM0}{NODE1}");
        let first_whole = HEAD.len() + DOM0.len();
        for end in 0..whole.len() {
            let cut = &whole[..end];
            // A cut exactly after dom0's row cannot be told from a host without guests; xl's exit
            // code tells it, and a listing counts only with exit code 0.
            assert_eq!(Listing::parse(cut).is_ok(), end == first_whole, "{cut:?}");
        }
    }

    #[test]
    fn what_is_not_understood_spoils_the_listing() {
        let table = [
            ("", ListingError::Empty),
            ("no header\n", ListingError::Header),
            ("Name ID Mem VCPUs\tState\tTime(s)\n", ListingError::Header),
        ];
        for (output, error) in table {
            assert_eq!(Listing::parse(output), Err(error), "{output:?}");
        }
        assert_eq!(parse(&[NODE1]), Err(ListingError::NoDom0));
        assert_eq!(parse(&[DOM0, NODE1, NODE1]), Err(ListingError::Twice(3)));
        for (from, to) in [
            ("7f9598e3-", "7f9598e3"),
            (" 3 ", " x "),
            ("r----- ", "r----z "),
            ("128", "-1"),
            ("53.3", "soon"),
            ("        -                -", ""),
            ("node1", "     "),
        ] {
            let error = parse(&[DOM0, &NODE1.replacen(from, to, 1)]).unwrap_err();
            assert!(matches!(error, ListingError::Row { line: 3, .. }), "{to}: {error}");
        }
        assert!(matches!(parse(&[DOM0, "\n"]), Err(ListingError::Row { .. })));
        assert!(matches!(parse(&[DOM0, "\u{0}\u{1}\n"]), Err(ListingError::Row { .. })));
    }
}
