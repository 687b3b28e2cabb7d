//! `billing`: what Stripe says, compared and replayed.

use clap::{Args, Subcommand};
use serde_json::json;

use super::open;
use super::out::{Out, table};
use crate::app::App;
use crate::billing;

/// Compare with Stripe, list its events, look into one again
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gemini-backend billing sync\n  gemini-backend billing events list --limit 20\n  \
    gemini-backend billing events replay evt_1Qabc")]
pub(super) struct Billing {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Sync(Sync),
    Events(Events),
}

/// Read from Stripe what no webhook told, and say what that was
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend billing sync --json")]
struct Sync {
    /// Take Pro away from customers that Stripe does not know: after a change of the Stripe account
    #[arg(long)]
    forget_unknown: bool,
}

/// Stripe's events as they were taken in
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend billing events list")]
struct Events {
    #[command(subcommand)]
    what: WhatOfEvents,
}

#[derive(Debug, Subcommand)]
enum WhatOfEvents {
    List(List),
    Replay(Replay),
}

/// List the newest events and what became of them
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend billing events list --limit 20 --json")]
struct List {
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// Look into an event once more: a running worker does it
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend billing events replay evt_1Qabc")]
struct Replay {
    /// The event's id
    id: String,
}

impl Billing {
    pub(super) async fn run(self, out: Out) -> super::Result {
        let app = open::app().await?;
        match self.what {
            What::Sync(sync) => sync.run(&app, out).await,
            What::Events(Events { what: WhatOfEvents::List(list) }) => list.run(&app, out).await,
            What::Events(Events { what: WhatOfEvents::Replay(replay) }) => replay.run(&app, out).await,
        }
    }
}

impl Sync {
    async fn run(self, app: &App, out: Out) -> super::Result {
        anyhow::ensure!(
            app.stripe.is_some(),
            "STRIPE_SECRET_KEY is not set; the sandbox that is built into a running server is compared by that server"
        );
        let report = billing::sync(app, self.forget_unknown).await;
        // What was promised is a running worker's to do.
        app.live.ring_for_jobs_everywhere();
        let report = report?;
        out.answer(&report, || {
            let mut lines = vec![
                format!("{} events, {} of them new: no webhook had told", report.events, report.missed),
                format!("{} subscriptions, {} customers stood otherwise here", report.subscriptions, report.differed),
            ];
            if report.charges > 0 {
                lines.push(format!("{} payments looked at for refunds and disputes", report.charges));
            }
            if report.judged > 0 {
                lines.push(format!("{} plans were not what is known makes them", report.judged));
            }
            lines.extend(
                report.unmatched.iter().map(|sub| format!("{sub} is somebody's whose customer is another one")),
            );
            lines.extend(report.unknown.iter().map(|customer| format!("{customer} is not known to Stripe")));
            lines.join("\n")
        })
    }
}

impl List {
    async fn run(self, app: &App, out: Out) -> super::Result {
        let events = billing::events(app, self.limit).await?;
        out.answer(&json!({"data": events}), || {
            let cells = |event: &billing::KeptEvent| {
                let customer = event.customer.clone().unwrap_or_default();
                let (at, source) = (event.received_at.to_string(), event.source.to_string());
                vec![event.id.clone(), event.kind.clone(), at, source, event.outcome.to_string(), customer]
            };
            let head = ["ID", "TYPE", "RECEIVED AT", "BY", "OUTCOME", "CUSTOMER"];
            table(&head, &events.iter().map(cells).collect::<Vec<_>>())
        })
    }
}

impl Replay {
    async fn run(self, app: &App, out: Out) -> super::Result {
        anyhow::ensure!(billing::replay(app, &self.id).await?, "there is no event {}", self.id);
        out.answer(&json!({"replayed": self.id}), || format!("{} will be looked into again.", self.id))
    }
}
