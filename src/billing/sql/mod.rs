//! Every statement about plans, prompts, tokens, and what Stripe knows.

mod accounts;
mod checkouts;
mod events;
mod held;
mod history;
mod quota;
mod subscriptions;

pub use checkouts::Stage;
pub use events::{KeptEvent, Outcome, Source};
pub use held::{HeldSubscription, PromptDay, TokenDay};
pub use history::Line;

pub(super) use accounts::*;
pub(super) use checkouts::*;
pub(super) use events::*;
pub(super) use held::{counts, disown_tokens, held_subscriptions, prompt_days, token_days};
pub(super) use history::*;
pub(super) use quota::*;
pub(super) use subscriptions::*;
