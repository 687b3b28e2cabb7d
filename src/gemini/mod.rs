//! Gemini's API: ask, stream, count, list models; its errors judged once.
//!
//! Thin and tolerant: unknown words and fields never fail a parse, and nothing here decides about a reply.
//! Begin with [`Client::stream`], then [`Stream::next`] and [`Error`]. Facts about the wire are from
//! <https://ai.google.dev/api/generate-content> and from what its users report.

mod answer;
mod catalog;
mod client;
mod error;
mod frames;
mod gate;
mod incoming;
mod model;
mod pacific;
mod reading;
mod refusal;
mod request;
mod scrub;
mod stream;

pub use answer::{Answer, BlockReason, FinishReason, Outcome, Usage};
pub use catalog::{Catalog, Listed, PAUSE as CATALOG_PAUSE};
pub use client::{Client, Timeouts, Unusable};
pub use error::{Error, Waited};
pub use gate::{Gate, Held};
pub use model::Model;
pub use pacific::next_pacific_midnight;
pub use refusal::{Quota, Refusal};
pub use request::{Inline, Part, Request, Role, Thinking, Turn};
pub use stream::{Event, Stream};
