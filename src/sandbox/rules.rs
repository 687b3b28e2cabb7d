//! The rules that wait in a sandbox: the first that fits a request is used, so many times.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A rule that is used up.
pub(super) trait Counted: Clone {
    /// How often it may still be used; None for ever.
    fn times(&mut self) -> &mut Option<u32>;
}

#[derive(Debug)]
pub(super) struct Rules<R>(Mutex<Vec<R>>);

impl<R> Default for Rules<R> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<R: Counted> Rules<R> {
    pub(super) fn add(&self, rule: R) {
        self.lock().push(rule);
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    pub(super) fn waiting(&self) -> Vec<R> {
        self.lock().clone()
    }

    /// The first rule that fits; one use of it is spent.
    pub(super) fn take(&self, fits: impl Fn(&R) -> bool) -> Option<R> {
        let mut rules = self.lock();
        let at = rules.iter().position(fits)?;
        let rule = rules[at].clone();
        match rules[at].times() {
            Some(0 | 1) => {
                rules.remove(at);
            }
            Some(times) => *times -= 1,
            None => {}
        }
        Some(rule)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
