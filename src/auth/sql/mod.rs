//! Every statement of the room, by table.

mod codes;
mod numbers;
mod sessions;
mod signups;
mod users;

pub(super) use codes::*;
pub(super) use numbers::*;
pub(super) use sessions::*;
pub(super) use signups::*;
pub(super) use users::*;
