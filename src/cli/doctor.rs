//! `doctor`: looks at everything that a server needs, and says what is wrong with it.

use std::fmt::Display;

use clap::Args;
use serde::Serialize;

use super::open;
use super::out::{Out, table};
use crate::chat::{self, Standing};
use crate::config::{AppEnv, OtpDelivery, Settings, TwilioFrom};
use crate::files::Files;
use crate::gemini;
use crate::store::{self, Store};
use crate::stripe;

/// Check settings, database, Gemini, Stripe, attachments and how codes are sent, and say what is wrong
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend doctor && gemini-backend serve")]
pub(super) struct Doctor {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// Works, and is worth knowing.
    Note,
    Wrong,
}

#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    detail: String,
}

fn found(what: &'static str, verdict: Verdict, detail: impl Display) -> Finding {
    Finding { what, verdict, detail: detail.to_string() }
}

impl Doctor {
    pub(super) async fn run(self, out: Out) -> super::Result {
        let loaded = open::settings()?;
        let mut findings = vec![found("settings", Verdict::Ok, "complete and valid")];
        findings.extend(loaded.notes.iter().map(|note| found("settings", Verdict::Note, note)));
        let settings = loaded.settings;
        findings.push(server(&settings));
        findings.extend(database(&settings).await);
        findings.extend(gemini(&settings).await);
        findings.push(stripe(&settings).await);
        findings.push(attachments(&settings).await);
        findings.push(codes(&settings));
        let is_well = findings.iter().all(|finding| finding.verdict != Verdict::Wrong);
        out.answer(&serde_json::json!({"ok": is_well, "findings": findings}), || {
            let row = |finding: &Finding| {
                let verdict = match finding.verdict {
                    Verdict::Ok => "ok",
                    Verdict::Note => "note",
                    Verdict::Wrong => "WRONG",
                };
                vec![finding.what.to_owned(), verdict.to_owned(), finding.detail.clone()]
            };
            table(&["WHAT", "", "FOUND"], &findings.iter().map(row).collect::<Vec<_>>())
        })?;
        anyhow::ensure!(is_well, "something is wrong");
        Ok(())
    }
}

fn server(settings: &Settings) -> Finding {
    let bind = settings.server.bind;
    if let Some(file) = settings.database.file() {
        match store::is_owned(&file) {
            Ok(true) => return found("server", Verdict::Ok, format!("one runs on {}", file.display())),
            Ok(false) => {}
            Err(fault) => return found("server", Verdict::Wrong, fault),
        }
    }
    match std::net::TcpListener::bind(bind) {
        Ok(_) => found("server", Verdict::Ok, format!("{bind} is free")),
        Err(cause) => found("server", Verdict::Note, format!("{bind} is taken, by a server perhaps: {cause}")),
    }
}

async fn database(settings: &Settings) -> Vec<Finding> {
    let what = "database";
    if open::missing_file(settings).is_some() {
        return vec![found(what, Verdict::Note, "there is none yet; serve makes it")];
    }
    let store = match store::look_into(&settings.database.url).await {
        Ok(store) => store,
        Err(fault) => return vec![found(what, Verdict::Wrong, fault)],
    };
    let mut findings = vec![match &store {
        Store::Sqlite { .. } => found(what, Verdict::Ok, "SQLite opens"),
        Store::Postgres(_) => found(what, Verdict::Ok, "PostgreSQL answers"),
    }];
    findings.push(match store::pending(&store).await {
        Ok(0) => found("schema", Verdict::Ok, "up to date"),
        Ok(pending) if settings.database.auto_migrate => {
            found("schema", Verdict::Note, format!("{pending} migrations will run at the next start"))
        }
        Ok(pending) => {
            found("schema", Verdict::Wrong, format!("{pending} migrations wait for `gemini-backend migrate`"))
        }
        Err(fault) => found("schema", Verdict::Wrong, fault),
    });
    store.close().await;
    findings
}

async fn gemini(settings: &Settings) -> Vec<Finding> {
    let what = "gemini";
    if settings.gemini.is_sandbox() {
        return vec![found(what, Verdict::Note, "the built-in sandbox answers until GEMINI_API_KEY is set")];
    }
    let models = match gemini::Client::new(&settings.gemini) {
        Ok(client) => client.models().await.map_err(|fault| fault.to_string()),
        Err(fault) => Err(fault.to_string()),
    };
    let models = match models {
        Ok(models) => models,
        Err(fault) => return vec![found(what, Verdict::Wrong, fault)],
    };
    let stand = chat::standing(&settings.gemini, &models).into_iter();
    let is_production = settings.server.env == AppEnv::Production;
    stand
        .map(|(model, standing)| match standing {
            Standing::Known => found(what, Verdict::Ok, format!("answers, and knows {model}")),
            Standing::Retiring => found(what, Verdict::Note, format!("answers, and will retire {model}")),
            Standing::Gone => {
                // Without the others answers still come.
                let is_needed = is_production && model == settings.gemini.model;
                let verdict = if is_needed { Verdict::Wrong } else { Verdict::Note };
                found(what, verdict, format!("answers with {} models, and {model} is not among them", models.len()))
            }
        })
        .collect()
}

async fn stripe(settings: &Settings) -> Finding {
    let what = "stripe";
    let is_production = settings.server.env == AppEnv::Production;
    let client = match stripe::Client::new(&settings.stripe) {
        Ok(Some(client)) => client,
        Ok(None) if is_production => {
            return found(
                what,
                Verdict::Note,
                "nothing is sold: billing_not_configured until STRIPE_SECRET_KEY is set",
            );
        }
        Ok(None) => return found(what, Verdict::Note, "the built-in sandbox sells until STRIPE_SECRET_KEY is set"),
        Err(fault) => return found(what, Verdict::Wrong, fault),
    };
    let price = settings.stripe.pro_price.as_deref().unwrap_or_default();
    match client.price(price).await {
        Err(fault) => found(what, Verdict::Wrong, fault),
        Ok(_) if settings.stripe.webhook_secrets.is_empty() => {
            let word = "answers, and knows the price; without STRIPE_WEBHOOK_SECRET news comes by the sync alone";
            found(what, Verdict::Note, word)
        }
        Ok(_) if is_production && !client.is_of_our_mode(true) => {
            found(what, Verdict::Note, "answers in its test mode: anybody buys with a test card")
        }
        Ok(cost) => {
            let stripe::Price { amount, currency, interval, .. } = cost;
            found(what, Verdict::Ok, format!("answers; Pro costs {amount} {currency} (smallest unit) a {interval}"))
        }
    }
}

/// Nothing is written: that the place answers has to do.
async fn attachments(settings: &Settings) -> Finding {
    let what = "attachments";
    let files = match Files::new(settings) {
        Ok(files) => files,
        Err(fault) => return found(what, Verdict::Wrong, fault),
    };
    match files.reach().await {
        Err(fault) => found(what, Verdict::Wrong, format!("{}: {fault}", files.place())),
        Ok(()) if settings.database.file().is_none() && Files::is_of_this_machine(settings) => {
            let word = "on more than one machine, OBJECT_STORE_URL must name a place that they share";
            found(what, Verdict::Note, format!("lie in {}; {word}", files.place()))
        }
        Ok(()) => found(what, Verdict::Ok, format!("lie in {}", files.place())),
    }
}

/// Nothing is tried: the only trial is a message that somebody gets and somebody pays.
fn codes(settings: &Settings) -> Finding {
    let what = "codes";
    match &settings.auth.otp_delivery {
        OtpDelivery::Response => found(what, Verdict::Note, "stand in the answer itself, for this machine only"),
        OtpDelivery::Log => found(what, Verdict::Note, "stand in the log"),
        OtpDelivery::Webhook { url, .. } => {
            let sender = url.host_str().unwrap_or_default();
            found(what, Verdict::Ok, format!("go by webhook to {sender}; it is not tried"))
        }
        OtpDelivery::Twilio(account) => {
            let from = match &account.from {
                TwilioFrom::Number(number) => number,
                TwilioFrom::MessagingService(sid) => sid,
            };
            let sid = &account.account_sid;
            found(what, Verdict::Ok, format!("go through Twilio, account {sid}, from {from}; it is not tried"))
        }
    }
}
