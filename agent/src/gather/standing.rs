//! Who of those that are gathered is there, who is still waited for, and who is another's second
//! address. Pure.

/// How far each target is, without the connections.
#[derive(Debug)]
pub(super) struct Standing(Vec<(bool, Is, Option<String>)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    OnTheWay,
    In,
    Same,
    Failed,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Somebody whose answer is needed.
    Deadline,
    /// Those alone that need not answer.
    NeedNot,
}

impl Standing {
    pub(super) fn new(needed: &[bool]) -> Self {
        Self(needed.iter().map(|needed| (*needed, Is::OnTheWay, None)).collect())
    }

    /// What is still to be waited for.
    pub(super) fn patience(&self) -> Option<Wait> {
        let has = |needed: bool, is: Is| self.0.iter().any(|one| (one.0, one.1) == (needed, is));
        if has(true, Is::Failed) {
            None
        } else if has(true, Is::OnTheWay) {
            Some(Wait::Deadline)
        } else if has(false, Is::OnTheWay) {
            Some(Wait::NeedNot)
        } else {
            None
        }
    }

    /// A target has shown its host key; the answer is the other one that it is.
    pub(super) fn met(&mut self, number: usize, fingerprint: String) -> Option<usize> {
        let other = self.0.iter().enumerate().position(|(other, (_, is, print))| {
            let alive = matches!(is, Is::OnTheWay | Is::In);
            other != number && alive && print.as_deref() == Some(fingerprint.as_str())
        });
        let needed = self.0.get(number).is_some_and(|(needed, _, _)| *needed);
        match other {
            Some(owner) => {
                self.set(number, Is::Same);
                if let Some((owners, _, _)) = self.0.get_mut(owner) {
                    *owners |= needed;
                }
            }
            None => {
                if let Some((_, _, print)) = self.0.get_mut(number) {
                    *print = Some(fingerprint);
                }
            }
        }
        other
    }

    pub(super) fn is_in(&mut self, number: usize) {
        self.set(number, Is::In);
    }

    pub(super) fn failed(&mut self, number: usize) {
        self.set(number, Is::Failed);
    }

    pub(super) fn is_needed(&self, number: usize) -> bool {
        self.0.get(number).is_some_and(|(needed, _, _)| *needed)
    }

    pub(super) fn is_on_the_way(&self, number: usize) -> bool {
        self.0.get(number).is_some_and(|(_, is, _)| *is == Is::OnTheWay)
    }

    pub(super) fn is_same(&self, number: usize) -> bool {
        self.0.get(number).is_some_and(|(_, is, _)| *is == Is::Same)
    }

    fn set(&mut self, number: usize, to: Is) {
        if let Some((_, is, _)) = self.0.get_mut(number) {
            *is = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_who_is_needed_is_waited_for() {
        let mut both = Standing::new(&[true, true]);
        assert_eq!(both.patience(), Some(Wait::Deadline));
        assert_eq!(both.met(0, "a".to_owned()), None);
        both.is_in(0);
        assert_eq!(both.patience(), Some(Wait::Deadline));
        assert_eq!(both.met(1, "b".to_owned()), None);
        both.is_in(1);
        assert_eq!(both.patience(), None);
        let mut failed = Standing::new(&[true, true]);
        failed.failed(1);
        assert_eq!(failed.patience(), None, "nothing can succeed any more");
        assert!(failed.is_on_the_way(0));
    }

    #[test]
    fn one_that_need_not_answer_is_waited_for_a_little() {
        let mut one = Standing::new(&[true, false]);
        one.is_in(0);
        assert_eq!(one.patience(), Some(Wait::NeedNot));
        one.failed(1);
        assert_eq!(one.patience(), None);
        let mut failed_first = Standing::new(&[true, false]);
        failed_first.failed(1);
        assert_eq!(failed_first.patience(), Some(Wait::Deadline));
    }

    #[test]
    fn two_ways_with_one_key_are_one_dom0() {
        let mut two = Standing::new(&[false, true, true]);
        assert_eq!(two.met(0, "a".to_owned()), None);
        assert_eq!(two.met(0, "a".to_owned()), None, "it came back after a failed login");
        assert_eq!(two.met(1, "a".to_owned()), Some(0));
        assert!(two.is_same(1) && two.is_needed(0));
        two.is_in(2);
        assert_eq!(
            two.patience(),
            Some(Wait::Deadline),
            "the first is needed in the other's place"
        );
        two.is_in(0);
        assert_eq!(two.patience(), None);
        // After the first has failed, the second is what there is.
        let mut next = Standing::new(&[false, true]);
        let _ = next.met(0, "a".to_owned());
        next.failed(0);
        assert_eq!(next.met(1, "a".to_owned()), None);
    }
}
