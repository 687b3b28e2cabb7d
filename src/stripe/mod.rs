//! Stripe's API: the calls we make, form-encoded, and the webhook's signature; its errors judged once.
//!
//! Thin and tolerant: objects are read member by member, in the places of old and new API versions, and a word that we do
//! not know is kept as it is. Begin at [`Client`]; [`signature`] says whether a webhook is Stripe's.
//! Source: <https://docs.stripe.com/api>, version 2026-10-28.endive.

mod calls;
mod client;
mod error;
mod form;
mod object;
mod payments;
pub mod signature;

pub use calls::NewCheckout;
pub use client::{Client, Unusable, VERSION, jitter};
pub use error::{Error, Refusal};
pub use object::{Charge, Checkout, Event, Price, Subscription};
pub use payments::{Payment, Refund};
