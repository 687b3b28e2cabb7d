//! What is the person's own, across the features: the profile, and the end of the account.

mod erase;
mod export;
pub mod http;

pub use erase::{EraseError, Receipt, erase, leave, work};
