//! What changed about a person's plan, and what caused it: the lines of their history.

use crate::clock::Moment;

crate::words! {
    /// What happened.
    pub enum What {
        SubscriptionStarted = "subscription_started",
        SubscriptionRenewed = "subscription_renewed",
        /// Its status or price changed.
        SubscriptionChanged = "subscription_changed",
        CancellationSet = "cancellation_set",
        CancellationWithdrawn = "cancellation_withdrawn",
        SubscriptionEnded = "subscription_ended",
        PlanChanged = "plan_changed",
        /// One too many: nobody should pay twice.
        DuplicateEnded = "duplicate_ended",
        Refunded = "refunded",
        /// Money that was given back did not arrive, and came back.
        RefundFailed = "refund_failed",
        Disputed = "disputed",
    }
}

/// One thing that happened. Amounts are in the currency's smallest unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    pub what: What,
    pub subscription: Option<String>,
    pub status: Option<String>,
    pub current_period_end: Option<Moment>,
    pub cancels: Option<bool>,
    pub amount: Option<i64>,
    pub currency: Option<String>,
}

impl Happened {
    pub(super) fn just(what: What) -> Self {
        Self {
            what,
            subscription: None,
            status: None,
            current_period_end: None,
            cancels: None,
            amount: None,
            currency: None,
        }
    }
}

/// What made us look, or act. Money is never guessed: each change names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An event of Stripe's.
    Event(String),
    /// The comparison with Stripe.
    Sync,
    /// A checkout session: its person came back, or it was looked after.
    Checkout(String),
    /// The person's own call.
    Cancel,
    Resume,
    /// The end of a subscription that was one too many, refunded or disputed; the subscription.
    End(String),
    Operator,
    /// A period of grace is over.
    Time,
}

impl Cause {
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Event(_) => "event",
            Self::Sync => "sync",
            Self::Checkout(_) => "checkout",
            Self::Cancel => "cancel",
            Self::Resume => "resume",
            Self::End(_) => "end",
            Self::Operator => "operator",
            Self::Time => "time",
        }
    }

    pub(super) fn id(&self) -> Option<&str> {
        match self {
            Self::Event(id) | Self::Checkout(id) | Self::End(id) => Some(id),
            Self::Sync | Self::Cancel | Self::Resume | Self::Operator | Self::Time => None,
        }
    }
}
