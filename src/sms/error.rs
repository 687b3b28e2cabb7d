//! Why a message did not go out, judged once, here: no foreign status travels further.

use std::time::Duration;

/// Why a message did not go out. Says nothing of whom it was for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer: not reached, too slow, or cut off. It may have gone out all the same.
    #[error("the sender cannot be reached: {0}")]
    Unreachable(#[source] reqwest::Error),
    #[error("the sender answered {status}: it has trouble of its own")]
    Unavailable { status: u16 },
    #[error("the sender answered {status}: too many messages")]
    TooMany { status: u16, retry_after: Option<Duration> },
    /// There is no such mobile.
    #[error("the sender says that the number is none it can reach (code {code})")]
    NotANumber { code: i64 },
    /// Its person wants no messages.
    #[error("the number's person has opted out of messages")]
    OptedOut,
    #[error("the sender refuses the account: TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN do not fit")]
    BadCredentials,
    #[error("the sender answered {status}{}", told(*.code))]
    Refused { status: u16, code: Option<i64> },
}

fn told(code: Option<i64>) -> String {
    code.map_or_else(String::new, |code| format!(" (code {code})"))
}

impl Error {
    /// Of a status without any further word.
    pub(super) const fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            429 => Self::TooMany { status, retry_after },
            408 | 425 | 500.. => Self::Unavailable { status },
            _ => Self::Refused { status, code: None },
        }
    }

    /// Whether trying again may help.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Unavailable { .. } | Self::TooMany { .. } => true,
            Self::NotANumber { .. } | Self::OptedOut | Self::BadCredentials | Self::Refused { .. } => false,
        }
    }

    /// Whether the message may have gone out all the same, and be paid for.
    #[must_use]
    pub fn may_have_gone_out(&self) -> bool {
        // Without a connection nothing was said.
        matches!(self, Self::Unreachable(cause) if !cause.is_connect())
    }

    /// Whether it is the number's own, and nothing that an operator could put right.
    #[must_use]
    pub const fn is_of_the_number(&self) -> bool {
        matches!(self, Self::NotANumber { .. } | Self::OptedOut)
    }

    /// How long the sender wants to be left alone.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        if let Self::TooMany { retry_after, .. } = self { *retry_after } else { None }
    }

    /// The word that figures carry.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Unavailable { .. } => "unavailable",
            Self::TooMany { .. } => "too_many",
            Self::NotANumber { .. } => "not_a_number",
            Self::OptedOut => "opted_out",
            Self::BadCredentials => "bad_credentials",
            Self::Refused { .. } => "refused",
        }
    }
}

/// `Retry-After` in seconds; the other form, a date, is not worth a clock here.
pub(super) fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    let value = answer.headers().get(reqwest::header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}
