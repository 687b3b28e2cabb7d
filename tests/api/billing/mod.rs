//! Subscriptions: bought, renewed, declined, cancelled, refunded, at a Stripe that behaves as it should and as it does.

mod change;
mod checkout;
mod erase;
mod orders;
mod plans;
mod surplus;
mod sync;
mod taken_back;
mod webhook;
