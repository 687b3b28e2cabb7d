//! Words in a prompt that make the sandbox misbehave, for playing by hand. Several may stand in one prompt:
//!
//! | words | what happens |
//! |---|---|
//! | `[[sandbox:429 retry=38s quota=PerDay retry-after=7 times=2]]` | that error status; with `times`, only so often |
//! | `[[sandbox:error 503 after=3]]`, `… bare]]` | after 3 words an error, as a frame or as bare JSON |
//! | `[[sandbox:cut after=3]]`, `silent`, `hang` | the connection breaks, closes too early, says nothing more |
//! | `[[sandbox:block SAFETY]]` | the prompt is blocked |
//! | `[[sandbox:finish SAFETY after=3]]` | ends with that reason; `finish MAX_TOKENS after=0` without text |
//! | `[[sandbox:slow 200ms]]`, `[[sandbox:wait 3s]]` | between words, before the first |
//! | `[[sandbox:thoughts]]`, `[[sandbox:nul]]` | thinks before it answers; has a NUL in every word |
//! | `[[sandbox:words 20000]]`, `[[sandbox:say exactly this]]` | a huge answer; this answer |
//!
//! `times=2` goes with any of them and counts requests with the same conversation.

use super::asked::Asked;
use super::error::Fault;
use super::script::{End, Rule, Script};

const OPEN: &str = "[[sandbox:";
const CLOSE: &str = "]]";

/// What the last user text asks for; None when it asks for nothing (any more).
pub(super) fn obey(asked: &Asked, script: &Script) -> Result<Option<Rule>, Box<Fault>> {
    let mut rule = Rule::default();
    let (_, orders) = split(asked.last());
    if orders.is_empty() {
        return Ok(None);
    }
    let mut times = None;
    for order in &orders {
        let order = Order::read(order);
        times = times.or(order.number("times")?);
        apply(&mut rule, &order)?;
    }
    if let Some(times) = times
        && !script.obeys(&asked.turns, u32::try_from(times).unwrap_or(u32::MAX))
    {
        return Ok(None);
    }
    Ok(Some(rule))
}

/// The text without its orders.
pub(super) fn without_orders(text: &str) -> String {
    split(text).0.trim().to_owned()
}

fn split(text: &str) -> (String, Vec<&str>) {
    let (mut rest, mut plain, mut orders) = (text, String::new(), Vec::new());
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((order, after)) = after.split_once(CLOSE) else { break };
        plain.push_str(before);
        orders.push(order);
        rest = after;
    }
    (plain + rest, orders)
}

fn apply(rule: &mut Rule, order: &Order<'_>) -> Result<(), Box<Fault>> {
    if let Some(after) = order.number("after")? {
        rule.after = usize::try_from(after).ok();
    }
    if let Ok(status) = order.verb.parse::<u16>() {
        rule.refuse = Some(order.fault(status));
        return Ok(());
    }
    match order.verb {
        "error" => {
            let fault = order.fault(order.rest.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or(503));
            let bare = order.rest.split_whitespace().any(|word| word == "bare");
            rule.end = if bare { End::BareError(fault) } else { End::Error(fault) };
        }
        "cut" => rule.end = End::Cut,
        "silent" => rule.end = End::Silent,
        "hang" => {
            rule.end = End::Hang;
            rule.after = rule.after.or(Some(0));
        }
        "block" => rule.block = Some(order.word().unwrap_or("SAFETY").to_owned()),
        "finish" => rule.finish = Some(order.word().unwrap_or("STOP").to_owned()),
        "slow" => rule.word_ms = Some(order.millis(200)?),
        "wait" => rule.first_byte_ms = Some(order.millis(3_000)?),
        "thoughts" => rule.thoughts = Some("Let me think about this for a moment.".to_owned()),
        "nul" => {
            let words = (1..=12).map(|at| format!("word\0{at} "));
            rule.chunks = Some(words.collect());
        }
        "words" => rule.words = Some(order.word().and_then(|word| word.parse().ok()).unwrap_or(1_000)),
        "say" => rule.text = Some(order.rest.to_owned()),
        unknown => return Err(Fault::invalid(format!("the sandbox does not know the words [[sandbox:{unknown}]]"))),
    }
    Ok(())
}

struct Order<'a> {
    verb: &'a str,
    rest: &'a str,
}

impl<'a> Order<'a> {
    fn read(order: &'a str) -> Self {
        let (verb, rest) = order.trim().split_once(char::is_whitespace).unwrap_or((order.trim(), ""));
        Self { verb, rest: rest.trim() }
    }

    fn option(&self, name: &str) -> Option<&'a str> {
        if self.verb == "say" {
            return None;
        }
        self.rest.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Box<Fault>> {
        let number = self.option(name).map(str::parse).transpose();
        number.map_err(|_| Fault::invalid(format!("[[sandbox:{} {name}=…]] wants a number", self.verb)))
    }

    fn word(&self) -> Option<&'a str> {
        self.rest.split_whitespace().find(|word| !word.contains('='))
    }

    /// `200ms`, `3s`.
    fn millis(&self, usual: u64) -> Result<u64, Box<Fault>> {
        let Some(word) = self.word() else { return Ok(usual) };
        let (number, unit) = match (word.strip_suffix("ms"), word.strip_suffix('s')) {
            (Some(number), _) => (number, 1),
            (None, Some(number)) => (number, 1_000),
            (None, None) => (word, 1),
        };
        let wrong = |_| Fault::invalid(format!("[[sandbox:{} …]] wants a time such as 200ms", self.verb));
        number.parse::<u64>().map(|number| number.saturating_mul(unit)).map_err(wrong)
    }

    fn fault(&self, status: u16) -> Fault {
        let text = |name| self.option(name).map(str::to_owned);
        Fault { retry: text("retry"), quota: text("quota"), retry_after: text("retry-after"), ..Fault::of(status) }
    }
}
