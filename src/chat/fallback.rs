//! The line of models that a reply may ask: the room's own first, then those of `GEMINI_FALLBACK_MODELS`.
//!
//! The room keeps its model whoever answers. After the last in line it is the room's own again.

use super::models::gives;
use crate::auth::Plan;
use crate::config;

/// The line, and the place of the one that is asked.
#[derive(Clone, Debug)]
pub(super) struct Line {
    models: Vec<String>,
    at: usize,
    /// The room's own, which its owner's plan does not give.
    withheld: Option<String>,
}

impl Line {
    /// `own` is the room's, unless it takes the deployment's; `fallback` the one to ask instead. One that has gone from
    /// the settings since is not asked any more. Where the plan does not give the room's (any more), the deployment's
    /// stands in for it.
    pub(super) fn new(settings: &config::Gemini, plan: Plan, own: Option<&str>, fallback: Option<&str>) -> Self {
        let own = own.unwrap_or(&settings.model);
        let withheld = (!gives(settings, plan, own)).then(|| own.to_owned());
        let own = if withheld.is_some() { &settings.model } else { own };
        let mut models: Vec<String> = vec![own.to_owned()];
        for name in &settings.fallback_models {
            if !models.contains(name) {
                models.push(name.clone());
            }
        }
        let at = models.iter().position(|name| Some(name.as_str()) == fallback).unwrap_or(0);
        Self { models, at, withheld }
    }

    pub(super) fn model(&self) -> &str {
        &self.models[self.at]
    }

    pub(super) const fn is_own(&self) -> bool {
        self.at == 0
    }

    /// The room's own, when it is another one that is asked.
    pub(super) fn stands_in_for(&self) -> Option<&str> {
        let own = if self.is_own() { None } else { self.models.first() };
        self.withheld.as_ref().or(own).map(String::as_str)
    }

    /// As it is remembered between two tries; None: the room's own, whichever that is then.
    pub(super) fn fallback(&self) -> Option<String> {
        (!self.is_own()).then(|| self.model().to_owned())
    }

    /// The line after one step; None when there is nobody else.
    pub(super) fn next(&self) -> Option<Self> {
        let at = (self.at + 1) % self.models.len();
        (at != self.at).then(|| Self { at, ..self.clone() })
    }

    /// The next when this one is of no use at all. None after the last, if each of the `faults` before was one step:
    /// then nobody in line was of any use. Otherwise somebody was only busy, and is asked again.
    pub(super) fn past(&self, faults: i64) -> Option<Self> {
        let is_last = self.at + 1 == self.models.len();
        let only_steps = i64::try_from(self.at).is_ok_and(|steps| steps == faults);
        if is_last && only_steps { None } else { self.next() }
    }
}
