//! Idempotency keys: the first answer again, for a day. <https://docs.stripe.com/api/idempotent_requests>

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::error::{Fault, Refusal};

const DAY: i64 = 24 * 60 * 60;
const LONGEST: usize = 255;
const MOST: usize = 20_000;

/// An answer as a key remembers it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) answer: Result<Value, Fault>,
    pub(super) request_id: String,
}

#[derive(Debug, Default)]
pub(super) struct Keys(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    uses: HashMap<String, Use>,
    /// Oldest first, with their times.
    order: VecDeque<(i64, String)>,
}

#[derive(Debug)]
struct Use {
    request: String,
    at: i64,
    /// None: it is being executed.
    kept: Option<Kept>,
}

/// What a request with a key may do.
pub(super) enum Claim {
    /// Be executed; the key is in use until this is kept or dropped.
    Execute(InUse),
    /// Be answered as before.
    Repeat(Kept),
}

/// A key that is in use.
pub(super) struct InUse {
    keys: Arc<Keys>,
    key: String,
}

impl Keys {
    /// `request` is all that has to be the same: method, path and parameters.
    pub(super) fn claim(self: &Arc<Self>, key: &str, request: String, now: i64) -> Result<Claim, Refusal> {
        if key.len() > LONGEST {
            return Err(Fault::invalid(format!("Idempotency keys have up to {LONGEST} characters.")));
        }
        let mut inner = self.lock();
        inner.forget(now);
        match inner.uses.get(key) {
            Some(earlier) if earlier.request != request => Err(mismatch(key)),
            Some(Use { kept: None, .. }) => Err(in_use()),
            Some(Use { kept: Some(kept), .. }) => Ok(Claim::Repeat(kept.clone())),
            None => {
                inner.uses.insert(key.to_owned(), Use { request, at: now, kept: None });
                inner.order.push_back((now, key.to_owned()));
                Ok(Claim::Execute(InUse { keys: self.clone(), key: key.to_owned() }))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget(&mut self, now: i64) {
        while let Some((at, key)) = self.order.front()
            && (*at <= now - DAY || self.order.len() > MOST)
        {
            if self.uses.get(key).is_some_and(|found| found.at == *at) {
                self.uses.remove(key);
            }
            self.order.pop_front();
        }
    }
}

impl InUse {
    pub(super) fn keep(self, kept: Kept) {
        if let Some(found) = self.keys.lock().uses.get_mut(&self.key) {
            found.kept = Some(kept);
        }
    }
}

impl Drop for InUse {
    /// Nothing was executed: the key is free again.
    fn drop(&mut self) {
        let mut inner = self.keys.lock();
        if inner.uses.get(&self.key).is_some_and(|found| found.kept.is_none()) {
            inner.uses.remove(&self.key);
        }
    }
}

fn mismatch(key: &str) -> Refusal {
    let message = format!(
        "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a \
         key other than '{key}' if you meant to execute a different request."
    );
    let mut fault = Fault::of(400).with_message(message);
    fault.kind = Some("idempotency_error".to_owned());
    Box::new(fault)
}

fn in_use() -> Refusal {
    let mut fault = Fault::of(409).with_code("idempotency_key_in_use").with_message(
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted \
         twice, and the other request is still going through).",
    );
    fault.kind = Some("idempotency_error".to_owned());
    Box::new(fault)
}
