//! Signing in: codes, passwords, sessions, and [`SignedIn`], which says who is asking.
//!
//! A code proves a number, a number is a user, a session is one device of theirs. What counts against a number is
//! counted in the database, in the transaction that looks at the code; what counts against an address is a throttle.
//! Start reading at [`SignedIn`] for what other rooms need, at [`verify`](verify()) for how somebody comes in.

mod change;
mod code;
mod deliver;
mod held;
pub mod http;
mod marks;
mod mobile;
mod obtain;
pub mod operate;
mod password;
mod refresh;
mod send_code;
mod sessions;
mod sign_up;
mod signed_in;
mod sql;
mod sweep;
mod tokens;
mod user;
mod verify;

pub use crate::people::{Plan, Role};
pub use change::{ChangeError, Proof, change_mobile, change_password, reset_password, resign};
pub use code::{Purpose, Refused};
pub use deliver::deliver;
pub use held::{count_sessions, sessions_after};
pub use mobile::{Mobile, NotAMobile};
pub use obtain::{ObtainError, obtain};
pub use password::{PasswordError, UnfitPassword};
pub use refresh::{RefreshError, refresh};
pub use send_code::{SendError, Sent, send_code};
pub use sessions::{Scope, end, end_by_refresh_token, end_many};
pub use sign_up::{SignUpError, SignedUp, Wish, sign_up};
pub use signed_in::{SignedIn, is_alive};
pub use sql::HeldSession;
pub use sweep::{Swept, sweep};
pub use tokens::TokenPair;
pub use user::{Device, Session, User, find, rename};
pub use verify::{Presented, VerifyError, verify};
