//! What is the person's own, across the features: the profile, and the end of the account.

mod erase;
pub mod http;

pub use erase::{EraseError, erase};
