//! `replies`: those that failed, and another try.

use clap::{Args, Subcommand};
use serde_json::json;

use super::open;
use super::out::{Out, table};
use crate::chat;
use crate::ids::MessageId;

/// List replies that failed, have them written after all
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gemini-backend replies list-failed\n  gemini-backend replies retry 0193a1b2-0000-7000-8000-000000000000"
)]
pub(super) struct Replies {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    ListFailed(ListFailed),
    Retry(Retry),
}

/// List the newest replies that failed
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend replies list-failed --limit 20 --json")]
struct ListFailed {
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// Promise failed replies once more; the user is not charged
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  gemini-backend replies retry 0193a1b2-0000-7000-8000-000000000000\n  gemini-backend replies retry --all"
)]
struct Retry {
    /// Ids as `replies list-failed` shows them
    #[arg(required_unless_present = "all")]
    ids: Vec<MessageId>,
    /// All that failed, the newest 10,000
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

impl Replies {
    pub(super) async fn run(self, out: Out) -> super::Result {
        let app = open::app().await?;
        match self.what {
            What::ListFailed(list) => {
                let failed = chat::failed_replies(&app, list.limit).await?;
                let row = |reply: &chat::FailedReply| {
                    vec![reply.id.to_string(), reply.failed_at.to_string(), reply.code.clone(), reply.message.clone()]
                };
                out.answer(&json!({"data": failed}), || {
                    table(&["REPLY", "FAILED AT", "CODE", "WHY"], &failed.iter().map(row).collect::<Vec<_>>())
                })
            }
            What::Retry(retry) => {
                let ids = if retry.all {
                    chat::failed_replies(&app, 10_000).await?.iter().map(|reply| reply.id).collect()
                } else {
                    retry.ids
                };
                for id in &ids {
                    chat::retry_reply(&app, *id).await.map_err(|cause| anyhow::anyhow!("{id}: {cause}"))?;
                }
                out.answer(&json!({"retried": ids}), || {
                    format!("{} queued again; a running server takes them up within seconds.", ids.len())
                })
            }
        }
    }
}
