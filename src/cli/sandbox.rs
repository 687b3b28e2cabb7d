//! `sandbox`: a stand-in alone, for other programs' tests.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::out::Out;
use super::signals::Signals;
use crate::sandbox::{gemini, sms, stripe};

/// Run a stand-in for a service outside, for tests of other programs
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend sandbox gemini --bind 127.0.0.1:9000")]
pub(super) struct Sandbox {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    Gemini(Gemini),
    Stripe(Stripe),
    Sms(Sms),
}

/// Stand in for Gemini's API: point an SDK at it, or `GEMINI_BASE_URL`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  gemini-backend sandbox gemini --bind 127.0.0.1:9000 --words-per-second 20 --journal asked.jsonl"
)]
struct Gemini {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// How fast it writes; 0 is as fast as it can
    #[arg(long, value_name = "N", default_value_t = 30)]
    words_per_second: u32,
    /// Write each request as a line of JSON to this file
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Answer requests without an API key too
    #[arg(long)]
    no_key: bool,
}

/// Stand in for Stripe's API: customers, checkout, subscriptions, signed webhooks, and a clock that can be moved
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  gemini-backend sandbox stripe --bind 127.0.0.1:9001 --webhook http://127.0.0.1:8080/webhook/stripe --webhook-secret whsec_sandbox"
)]
struct Stripe {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// Send all events there, over plain HTTP
    #[arg(long, value_name = "URL")]
    webhook: Vec<String>,
    /// What webhooks are signed with
    #[arg(long, value_name = "SECRET", default_value = "whsec_sandbox")]
    webhook_secret: String,
    /// The one price that is sold
    #[arg(long, value_name = "ID", default_value = stripe::PRICE)]
    price: String,
    /// What it costs, in the currency's smallest unit
    #[arg(long, value_name = "N", default_value_t = 49_900)]
    amount: i64,
    /// Its currency
    #[arg(long, value_name = "CODE", default_value = "inr")]
    currency: String,
    /// How long subscriptions are tried for nothing
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    trial_days: u32,
    /// Leave a subscription unpaid, instead of cancelling it, when the last try at a payment failed
    #[arg(long)]
    unpaid: bool,
    /// How browsers reach its pages, if not by the address it listens on
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The account's API version; one before 2025-03-31 means the older shapes
    #[arg(long, value_name = "VERSION")]
    api_version: Option<String>,
    /// Write each request as a line of JSON to this file
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

impl Sandbox {
    pub(super) async fn run(self, out: Out) -> super::Result {
        match self.which {
            Which::Gemini(gemini) => gemini.run(out).await,
            Which::Stripe(stripe) => stripe.run(out).await,
            Which::Sms(sms) => sms.run(out).await,
        }
    }
}

impl Gemini {
    async fn run(self, out: Out) -> super::Result {
        let pace = match self.words_per_second {
            0 => gemini::Options::default(),
            words => gemini::Options { word: Duration::from_secs(1) / words, ..gemini::Options::by_hand() },
        };
        // Other programs' tests read the journal back: it remembers more than the one built into a server.
        let journal = gemini::Options::default().journal;
        let options = gemini::Options { journal, require_key: !self.no_key, journal_file: self.journal, ..pace };
        let (mut signals, stop) = (Signals::listen()?, CancellationToken::new());
        let running = gemini::start(self.bind, options, stop.clone())
            .await
            .with_context(|| format!("cannot listen on {}", self.bind))?;
        let base = running.base_url();
        out.answer(&json!({"listening": base}), || format!("The Gemini sandbox listens on {base}"))?;
        signals.next().await;
        stop.cancel();
        running.stopped().await;
        Ok(())
    }
}

impl Stripe {
    async fn run(self, out: Out) -> super::Result {
        let price = stripe::Price {
            id: self.price,
            amount: self.amount,
            currency: self.currency.to_lowercase(),
            ..stripe::Price::default()
        };
        let facts = json!({"price": price.id, "webhook_secret": self.webhook_secret});
        let usual = stripe::Options::default();
        let options = stripe::Options {
            webhooks: self.webhook.into_iter().map(|url| (url, self.webhook_secret.clone())).collect(),
            prices: vec![price],
            trial_days: self.trial_days,
            ending: if self.unpaid { stripe::Ending::Unpaid } else { stripe::Ending::Cancel },
            public_url: self.public_url,
            api_version: self.api_version.unwrap_or(usual.api_version),
            journal_file: self.journal,
            ..stripe::Options::default()
        };
        let (mut signals, stop) = (Signals::listen()?, CancellationToken::new());
        let running = stripe::start(self.bind, options, stop.clone())
            .await
            .with_context(|| format!("cannot listen on {}", self.bind))?;
        let base = running.base_url();
        let answer = json!({"listening": base, "price": facts["price"], "webhook_secret": facts["webhook_secret"]});
        out.answer(&answer, || {
            format!(
                "The Stripe sandbox listens on {base}\nIt sells {} and signs webhooks with {}",
                facts["price"], facts["webhook_secret"]
            )
        })?;
        signals.next().await;
        stop.cancel();
        running.stopped().await;
        Ok(())
    }
}

/// Stand in for Twilio and for the receiver of the signed webhook: point `TWILIO_BASE_URL` or `SMS_WEBHOOK_URL` at it
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend sandbox sms --bind 127.0.0.1:9001
  curl http://127.0.0.1:9001/sandbox/messages")]
struct Sms {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// The one account that may send; any may when it is left away
    #[arg(long, value_name = "SID", requires = "auth_token")]
    account_sid: Option<String>,
    /// That account's token
    #[arg(long, value_name = "TOKEN", requires = "account_sid")]
    auth_token: Option<String>,
    /// What posts to /sms have to be signed with
    #[arg(long, value_name = "SECRET", default_value = "sandbox-secret")]
    webhook_secret: String,
}

impl Sms {
    async fn run(self, out: Out) -> super::Result {
        let account = self.account_sid.zip(self.auth_token);
        let options = sms::Options { account, webhook_secret: self.webhook_secret, ..sms::Options::default() };
        let (mut signals, stop) = (Signals::listen()?, CancellationToken::new());
        let running = sms::start(self.bind, options, stop.clone())
            .await
            .with_context(|| format!("cannot listen on {}", self.bind))?;
        let base = running.base_url();
        let told = json!({"listening": base, "webhook": running.webhook_url()});
        out.answer(&told, || format!("The SMS sandbox listens on {base}, for webhooks on {base}/sms"))?;
        signals.next().await;
        stop.cancel();
        running.stopped().await;
        Ok(())
    }
}
