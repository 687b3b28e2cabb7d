//! The models as Gemini listed them lately: read once for many callers, kept for some minutes.
//!
//! A Gemini that is down costs its callers at most [`PATIENCE`], and only one of them at a time once a list is there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::MutexGuard;

use super::{Client, Model};
use crate::clock::Moment;

/// How long a list is taken for true.
const FRESH: Duration = Duration::from_mins(10);
/// After a list that did not come, until Gemini is asked again.
pub const PAUSE: Duration = Duration::from_secs(15);
/// How long a list is waited for: messages wait for it too.
const PATIENCE: Duration = Duration::from_secs(2);

type Models = Arc<[Model]>;

/// What is known at a moment of the models that answer prompts; those that only embed are left out.
#[derive(Clone, Debug)]
pub enum Listed {
    /// As Gemini says.
    Now(Models),
    /// As it said before; now it does not tell.
    Before(Models),
    /// It never told.
    Never,
}

impl Listed {
    /// The newest list there is.
    #[must_use]
    pub fn models(&self) -> Option<&[Model]> {
        match self {
            Self::Now(models) | Self::Before(models) => Some(models),
            Self::Never => None,
        }
    }

    /// How many tokens of a question a model takes beside an answer of `max_output_tokens`, or of its own limit where that
    /// is less; None while nobody told.
    #[must_use]
    pub fn question_limit(&self, name: &str, max_output_tokens: u32) -> Option<u64> {
        let model = self.models()?.iter().find(|model| model.name == name)?;
        let answer = model.output_token_limit.map_or(max_output_tokens, |limit| limit.min(max_output_tokens));
        model.input_token_limit.map(|limit| u64::from(limit.saturating_sub(answer)))
    }
}

/// The list, and when it was read.
#[derive(Debug, Default)]
pub struct Catalog {
    kept: Mutex<Kept>,
    /// Held by the one who asks Gemini.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    list: Option<(Moment, Models)>,
    failed_at: Option<Moment>,
}

impl Kept {
    /// None: Gemini has to be asked.
    fn at(&self, now: Moment) -> Option<Listed> {
        match &self.list {
            Some((read_at, models)) if now.since(*read_at) < FRESH => Some(Listed::Now(models.clone())),
            _ if self.failed_at.is_some_and(|at| now.since(at) < PAUSE) => Some(self.before()),
            _ => None,
        }
    }

    fn before(&self) -> Listed {
        self.list.as_ref().map_or(Listed::Never, |(_, models)| Listed::Before(models.clone()))
    }
}

impl Catalog {
    /// The models, from memory or from Gemini. Of many callers one asks; while it does, the others get the list of
    /// before at once, or wait for the first one.
    pub async fn read(&self, client: &Client, now: Moment) -> Listed {
        let kept = self.kept();
        if let Some(listed) = kept.at(now) {
            return listed;
        }
        let turn = match (self.asking.try_lock(), &kept.list) {
            (Ok(turn), _) => turn,
            (Err(_), Some((_, models))) => return Listed::Now(models.clone()),
            (Err(_), None) => self.asking.lock().await,
        };
        // Somebody may have been quicker.
        match self.kept().at(now) {
            Some(listed) => listed,
            None => self.ask(turn, client, now).await,
        }
    }

    async fn ask(&self, _turn: MutexGuard<'_, ()>, client: &Client, now: Moment) -> Listed {
        let asked = tokio::time::timeout(PATIENCE, client.models()).await;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Ok(Ok(models)) => {
                let models: Models = models.into_iter().filter(Model::answers).collect();
                *kept = Kept { list: Some((now, models.clone())), failed_at: None };
                Listed::Now(models)
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "Gemini's models could not be read");
                kept.failed_at = Some(now);
                kept.before()
            }
            Err(_) => {
                tracing::warn!("Gemini's models did not come within {PATIENCE:?}");
                kept.failed_at = Some(now);
                kept.before()
            }
        }
    }

    fn kept(&self) -> Kept {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
