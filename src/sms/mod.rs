//! Delivery of codes: into the log (development), by Twilio, or to the operator's own sender, a signed webhook; and what
//! it may cost.
//!
//! A message is [`promise`](promise())d in the transaction that makes its job, and sent by the job with [`Sender::send`].
//! With `OTP_DELIVERY=response` nothing comes here: the code is in the answer itself.

mod country;
mod error;
mod promise;
mod pumping;
mod sql;
mod twilio;
mod webhook;

use uuid::Uuid;

use crate::clock::Moment;
use crate::config::OtpDelivery;

pub use country::Country;
pub use error::Error;
pub use promise::{NotPromised, Promised, note_verified, promise, promise_again, sweep_days, sweep_minutes};
use twilio::Twilio;
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

/// The way that codes take.
#[derive(Debug)]
pub struct Sender(Way);

#[derive(Debug)]
enum Way {
    Answer,
    Log,
    Twilio(Twilio),
    Webhook(Webhook),
}

impl Sender {
    /// # Errors
    /// When the machine's TLS cannot be set up.
    pub fn new(delivery: &OtpDelivery) -> Result<Self, reqwest::Error> {
        Ok(Self(match delivery {
            OtpDelivery::Response => Way::Answer,
            OtpDelivery::Log => Way::Log,
            OtpDelivery::Twilio(account) => Way::Twilio(Twilio::new(account)?),
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
            Way::Twilio(twilio) => twilio.post(message).await,
            Way::Webhook(webhook) => webhook.post(message, now).await,
        }
    }

    /// How often one message is tried: a webhook is told so, Twilio as often as fits into a minute of doubled pauses.
    #[must_use]
    pub const fn most_tries(&self) -> i64 {
        match self.0 {
            Way::Answer | Way::Log | Way::Webhook(_) => 3,
            Way::Twilio(_) => 7,
        }
    }
}
