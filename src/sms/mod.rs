//! Delivery of codes: into the log (development) or to the operator's own sender, a signed webhook.
//!
//! With `OTP_DELIVERY=response` nothing comes here: the code is in the answer itself.

mod webhook;

use uuid::Uuid;

use crate::clock::Moment;
use crate::config::OtpDelivery;

pub use webhook::SIGNATURE;
use webhook::Webhook;

/// What is to reach a person.
#[derive(Clone)]
pub struct Message {
    /// The code's id: the same when it is sent again.
    pub id: Uuid,
    pub to: String,
    /// The number as logs may show it.
    pub masked: String,
    pub text: String,
    pub code: String,
    pub purpose: &'static str,
    pub expires_at: Moment,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Message").field("id", &self.id).field("to", &self.masked).finish_non_exhaustive()
    }
}

/// Why a message did not go out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the sender cannot be reached: {0}")]
    Unreachable(#[source] reqwest::Error),
    #[error("the sender answered {0}")]
    Refused(u16),
}

impl Error {
    /// Whether trying again may help.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(status) => matches!(status, 408 | 425 | 429 | 500..),
        }
    }
}

/// The way that codes take.
#[derive(Debug)]
pub struct Sender(Way);

#[derive(Debug)]
enum Way {
    Answer,
    Log,
    Webhook(Webhook),
}

impl Sender {
    /// # Errors
    /// When the machine's TLS cannot be set up.
    pub fn new(delivery: &OtpDelivery) -> Result<Self, reqwest::Error> {
        Ok(Self(match delivery {
            OtpDelivery::Response => Way::Answer,
            OtpDelivery::Log => Way::Log,
            OtpDelivery::Webhook { url, secret } => Way::Webhook(Webhook::new(url.clone(), secret.clone())?),
        }))
    }

    /// Sends once. Repeating is the caller's, and safe: a repeated code is the same code.
    pub async fn send(&self, message: &Message, now: Moment) -> Result<(), Error> {
        match &self.0 {
            Way::Answer => Ok(()),
            Way::Log => {
                tracing::info!(to = %message.masked, code = %message.code, purpose = message.purpose, "a code");
                Ok(())
            }
            Way::Webhook(webhook) => webhook.post(message, now).await,
        }
    }
}
