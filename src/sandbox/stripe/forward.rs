//! How far the clock is moved: `{"advance": "1d"}`, `{"advance": 60}`, `{"to": 1800000000}`, `{"to_next_period": true}`.

use serde::Deserialize;

use super::Sandbox;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Turn {
    #[serde(default)]
    advance: Option<Span>,
    #[serde(default)]
    to: Option<i64>,
    #[serde(default)]
    to_next_period: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Span {
    Seconds(i64),
    Words(String),
}

/// The seconds to go on, or why there are none.
pub(super) fn seconds(sandbox: &Sandbox, turn: &Turn) -> Result<i64, String> {
    let (now, next) = sandbox.with(|world| (world.now, world.next_period()));
    let seconds = match (&turn.advance, turn.to, turn.to_next_period) {
        (Some(Span::Seconds(seconds)), None, false) => *seconds,
        (Some(Span::Words(words)), None, false) => {
            span(words).ok_or_else(|| format!("{words} is no time such as 90s, 5m, 2h, 1d or 1w"))?
        }
        (None, Some(to), false) => to - now,
        (None, None, true) => next.ok_or("no subscription has a period that will end")? - now,
        _ => return Err("say one of advance, to and to_next_period".to_owned()),
    };
    if seconds < 0 { Err("the clock does not go back".to_owned()) } else { Ok(seconds) }
}

/// `90s`, `5m`, `2h`, `1d`, `1w`.
pub(super) fn span(words: &str) -> Option<i64> {
    let words = words.trim();
    let unit = match words.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        _ => return None,
    };
    words[..words.len() - 1].trim().parse::<i64>().ok()?.checked_mul(unit)
}
