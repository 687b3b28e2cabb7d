//! Every statement of the room, by table.

mod codes;
mod held;
mod numbers;
mod sessions;
mod signups;
mod users;

pub use held::HeldSession;

pub(super) use codes::*;
pub(super) use held::{count_sessions, held_sessions};
pub(super) use numbers::*;
pub(super) use sessions::*;
pub(super) use signups::*;
pub(super) use users::*;
