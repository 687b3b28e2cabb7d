//! Stand-ins for the services outside: real HTTP servers with scriptable answers and faults.
//!
//! They share no type with the clients, so that a wrong guess about the wire cannot cancel itself out.

mod journal;
mod rules;

pub mod gemini;
pub mod sms;
pub mod stripe;
