//! Rules: what the sandbox should do with which request.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::Fault;
use crate::sandbox::rules::Counted;

/// One behaviour and the requests it is for.
///
/// As JSON (`POST /sandbox/script`, one or a list):
/// `{"when": {"method": "POST", "path": "/v1/customers"}, "times": 2, "cut": true, "after": true}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of its own in a rule")]
pub struct Rule {
    #[serde(default)]
    pub when: When,
    /// For so many requests; null for all that follow.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// Whether `refuse`, `cut` and `hang` strike when the request is executed already, and the answer is what gets lost.
    #[serde(default)]
    pub after: bool,
    /// An error instead of the answer.
    #[serde(default)]
    pub refuse: Option<Fault>,
    /// The error is Stripe's own: with `after`, the idempotency key remembers it instead of the answer.
    #[serde(default)]
    pub remember: bool,
    /// The connection breaks without an answer.
    #[serde(default)]
    pub cut: bool,
    /// No answer ever comes.
    #[serde(default)]
    pub hang: bool,
    /// Before it is executed.
    #[serde(default)]
    pub delay_ms: u64,
    /// Before it is executed, wait for a release; its idempotency key is in use meanwhile.
    #[serde(default)]
    pub wait: bool,
    /// Executed now, answered after a release: so an old answer comes after a newer one.
    #[serde(default)]
    pub hold: bool,
}

/// Which requests a rule is for; what is left out is not asked for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    #[serde(default)]
    pub method: Option<String>,
    /// How the address begins, with a `?` after its path: `/v1/subscriptions?` is the list alone.
    #[serde(default)]
    pub path: Option<String>,
    /// A part of the form, as the journal shows it.
    #[serde(default)]
    pub form: Option<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn once() -> Option<u32> {
    Some(1)
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            when: When::default(),
            times: once(),
            after: false,
            refuse: None,
            remember: false,
            cut: false,
            hang: false,
            delay_ms: 0,
            wait: false,
            hold: false,
        }
    }
}

impl Rule {
    /// For requests of this method (any if empty) whose address begins so.
    #[must_use]
    pub fn on(method: &str, path: &str) -> Self {
        let method = (!method.is_empty()).then(|| method.to_owned());
        Self { when: When { method, path: Some(path.to_owned()), form: None }, ..Self::default() }
    }

    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = None;
        self
    }

    /// Strikes when the request is executed already.
    #[must_use]
    pub fn after(mut self) -> Self {
        self.after = true;
        self
    }

    #[must_use]
    pub fn refuse(mut self, fault: Fault) -> Self {
        self.refuse = Some(fault);
        self
    }

    #[must_use]
    pub fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    #[must_use]
    pub fn hang(mut self) -> Self {
        self.hang = true;
        self
    }

    #[must_use]
    pub fn hold(mut self) -> Self {
        self.hold = true;
        self
    }

    /// Waits for a release before it is executed.
    #[must_use]
    pub fn wait(mut self) -> Self {
        self.wait = true;
        self
    }

    #[must_use]
    pub fn delay(mut self, by: Duration) -> Self {
        self.delay_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self
    }

    pub(super) fn fits(&self, method: &str, path: &str, form: &Value) -> bool {
        let When { method: wanted, path: beginning, form: part } = &self.when;
        wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && beginning.as_ref().is_none_or(|beginning| format!("{path}?").starts_with(beginning))
            && part.as_ref().is_none_or(|part| form.to_string().contains(part))
    }
}

impl Counted for Rule {
    fn times(&mut self) -> &mut Option<u32> {
        &mut self.times
    }
}
