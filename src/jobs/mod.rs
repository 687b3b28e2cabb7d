//! The queue, in the database: enqueued in the caller's transaction, claimed under a lease, fenced by its attempt.
//!
//! Jobs of a person stand in lanes (a chatroom is a lane): one job of a lane at a time, in the lane's order, and users
//! are served by start-time fair queueing. The house's own jobs (codes to send) have no owner and no lane.
//! Start reading at [`enqueue`], then [`claim_heads`], then `end`. Whoever changes a person's jobs takes [`lock`] first.

mod claim;
mod end;
mod enqueue;
mod look;
mod recover;
mod renew;
mod sql;
mod withdraw;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Moment;
use crate::ids::{ChatroomId, JobId, MessageId, UserId};
use crate::store;

pub use claim::{Wanted, claim_heads, claim_house, claim_lapsed};
pub use end::{drop_lane, finish, finish_house, forget_house, hand_back, hold, retry, retry_house, wait, wait_house};
pub use enqueue::{
    Locked, Waiting, close_account, enqueue, enqueue_house, enqueue_house_for, keep_house, lock, open_account,
    set_replies_at_once, set_weight,
};
pub use look::{Depth, Look, Settled, depth, look, settled, sweep};
pub use recover::void_leases;
pub use renew::{Renewed, raise_floor, renew};
pub use sql::Kept;
pub(crate) use sql::keep_house_sql;
pub use withdraw::{Standing, Waiter, is_ahead, standing, withdraw};

/// Passing faults (Gemini down, a cut stream) that a job may meet before it is given up.
pub const MOST_FAULTS: i64 = 5;
/// Deaths of its holder that a job may see before it is given up.
pub const MOST_CRASHES: i64 = 10;
/// Priority of the plans in the queue: what a claim costs is divided by it.
pub const PRO_WEIGHT: i64 = 4;
pub const BASIC_WEIGHT: i64 = 1;

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Job {
    /// Write a reply; the job carries the reply's id.
    Reply { id: MessageId },
    /// Deliver a code; the row says which, the payload never holds it.
    SendCode { id: Uuid },
    /// Look at what an event of Stripe's is about.
    StripeEvent { id: String },
    /// See what became of a checkout, should nobody come back to say.
    WatchCheckout { id: Uuid },
    /// Judge a plan again by what is known: a period of grace is over.
    JudgePlan { user: UserId },
    /// End a subscription: one too many, whose last payment is given back, or one whose payment was taken back.
    EndSubscription { user: UserId, subscription: String, is_surplus: bool },
    /// Take a person who is gone off Stripe; their ids there are all that is left.
    CloseCustomer {
        customer: String,
        checkouts: Vec<String>,
        /// Subscriptions that were one too many, whose last payment is still to be given back.
        #[serde(default)]
        owed: Vec<String>,
    },
    /// Erase a person who asked for it, should their request not have come to its end.
    EraseUser { user: UserId },
    /// Compare with Stripe what no event told.
    SyncBilling,
    /// Name a chatroom after what was said in it first.
    NameRoom { user: UserId, room: ChatroomId, reply: MessageId },
    /// Sum up what no longer fits before the question of a reply.
    Summarise { user: UserId, room: ChatroomId, reply: MessageId },
}

impl Job {
    /// Whether nothing else would ever do it: it is not given up, however often its process died.
    #[must_use]
    pub const fn is_owed(&self) -> bool {
        match self {
            Self::JudgePlan { .. }
            | Self::EndSubscription { .. }
            | Self::CloseCustomer { .. }
            | Self::EraseUser { .. }
            | Self::SyncBilling => true,
            // A reply fails in words; a code is asked for again; the comparison finds what these two were to tell; a room
            // lives without a name, and a reply without what was said long ago.
            Self::Reply { .. }
            | Self::SendCode { .. }
            | Self::StripeEvent { .. }
            | Self::WatchCheckout { .. }
            | Self::NameRoom { .. }
            | Self::Summarise { .. } => false,
        }
    }

    /// Among which of the house's own jobs it is claimed; None: a reply, claimed for its owner.
    #[must_use]
    pub const fn pool(&self) -> Option<Pool> {
        match self {
            Self::Reply { .. } => None,
            Self::SendCode { .. } => Some(Pool::Codes),
            Self::StripeEvent { .. }
            | Self::WatchCheckout { .. }
            | Self::JudgePlan { .. }
            | Self::EndSubscription { .. }
            | Self::CloseCustomer { .. }
            | Self::SyncBilling => Some(Pool::Billing),
            Self::EraseUser { .. } | Self::NameRoom { .. } | Self::Summarise { .. } => Some(Pool::Background),
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Reply { .. } => "reply",
            Self::SendCode { .. } => "send_code",
            Self::StripeEvent { .. } => "stripe_event",
            Self::WatchCheckout { .. } => "watch_checkout",
            Self::JudgePlan { .. } => "judge_plan",
            Self::EndSubscription { .. } => "end_subscription",
            Self::CloseCustomer { .. } => "close_customer",
            Self::EraseUser { .. } => "erase_user",
            Self::SyncBilling => "sync_billing",
            Self::NameRoom { .. } => "name_room",
            Self::Summarise { .. } => "summarise",
        }
    }
}

crate::words! {
    /// The house's own jobs, by what they hold up when they take long: each pool has its share of a worker, so that a slow
    /// Stripe delays no code, and a thousand names to find delay neither.
    pub enum Pool {
        Codes = "codes",
        Billing = "billing",
        /// Nobody waits for these: replies come first.
        Background = "background",
    }
}

/// A job in hand: proof of one attempt, and what its end must show.
#[derive(Clone, Debug)]
pub struct Claim {
    pub id: JobId,
    /// None when the payload cannot be read (written by a newer version): such a job is given up.
    pub job: Option<Job>,
    /// Whose it is and the lane it holds; None for the house's own.
    pub lane: Option<(UserId, ChatroomId)>,
    /// Of the house's own: among which it was claimed.
    pub pool: Option<Pool>,
    pub attempt: i64,
    pub faults: i64,
    pub crashes: i64,
    pub first_claimed_at: Moment,
}

/// A job's end was refused: another holder has it, or it is gone. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    #[error("the job is in other hands")]
    Lost,
    #[error(transparent)]
    Store(#[from] store::Error),
}
