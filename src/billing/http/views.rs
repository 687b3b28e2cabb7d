//! What clients see of plans and subscriptions.

use serde::Serialize;

use crate::auth::Plan;
use crate::billing::{Line, Open, Prompts, Stage, Status, What};
use crate::clock::Moment;
use crate::stripe;

/// A checkout: a page to pay on, as long as it is open.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Checkout)]
pub(super) struct CheckoutView {
    /// Null once it is over, which only a repeated `Idempotency-Key` shows.
    #[schema(required, example = "https://checkout.stripe.com/c/pay/cs_test_a1")]
    checkout_url: Option<String>,
    /// `open`; of a repeated request also `complete` (paid, or being paid) and `expired`.
    #[schema(value_type = String, example = "open")]
    status: &'static str,
    #[schema(example = "cs_test_a1")]
    session_id: String,
    expires_at: Moment,
}

impl From<Open> for CheckoutView {
    fn from(open: Open) -> Self {
        let status = LandingView::word(open.stage);
        Self { checkout_url: open.url, status, session_id: open.session, expires_at: open.expires_at }
    }
}

/// How the caller stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = SubscriptionStatus)]
pub(super) struct StatusView {
    /// What holds now, whatever it comes from.
    plan: Plan,
    /// `none`, or Stripe's word for the subscription that counts.
    #[schema(example = "active")]
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_period_end: Option<Moment>,
    /// It ends then, unless it is resumed.
    cancel_at_period_end: bool,
    /// The payment is overdue, and Pro lasts until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_until: Option<Moment>,
    prompts: Prompts,
}

impl StatusView {
    pub(super) fn new(plan: Plan, status: Status, prompts: Prompts) -> Self {
        Self {
            plan,
            status: status.status.unwrap_or_else(|| "none".to_owned()),
            current_period_end: status.current_period_end,
            cancel_at_period_end: status.cancels,
            grace_until: status.grace_until,
            prompts,
        }
    }
}

/// A page of Stripe's.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Portal)]
pub(super) struct PortalView {
    #[schema(example = "https://billing.stripe.com/p/session/test_a1")]
    pub url: String,
}

/// What caused a change: an event of Stripe's (its id), the comparison with Stripe, a checkout (its session's id), the
/// person's own call, an operator, the end of a period of grace.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BillingCause)]
struct CauseView {
    #[schema(example = "event")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// One change, and the plan that held after it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BillingChange)]
pub struct LineView {
    /// The order in which it happened.
    seq: i64,
    at: Moment,
    what: What,
    cause: CauseView,
    plan: Plan,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_period_end: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_at_period_end: Option<bool>,
    /// In the currency's smallest unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
}

impl From<Line> for LineView {
    fn from(line: Line) -> Self {
        Self {
            seq: line.seq,
            at: line.at,
            what: line.what,
            cause: CauseView { kind: line.cause, id: line.cause_id },
            plan: line.plan,
            subscription_id: line.subscription,
            status: line.status,
            current_period_end: line.current_period_end,
            cancel_at_period_end: line.cancels,
            amount: line.amount,
            currency: line.currency,
        }
    }
}

/// What a plan gives, and costs.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PlanOffer)]
pub(super) struct PlanView {
    pub plan: Plan,
    /// Prompts a UTC day; null: no limit.
    #[schema(required)]
    pub daily_prompts: Option<u32>,
    /// Replies that are written at once.
    pub replies_at_once: u32,
    /// The largest file that may be attached, in bytes.
    #[schema(example = 15_728_640)]
    pub attachment_bytes: u64,
    /// Models that chatrooms may have; null: all that there are.
    #[schema(required)]
    pub models: Option<Vec<String>>,
    /// Null for Basic, and while Stripe does not say.
    #[schema(required)]
    pub price: Option<PriceView>,
}

/// A price, by the period.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Price)]
pub(super) struct PriceView {
    /// In the currency's smallest unit.
    #[schema(example = 49900)]
    amount: i64,
    #[schema(example = "inr")]
    currency: String,
    /// day, week, month or year
    #[schema(example = "month")]
    interval: String,
    #[schema(example = 1)]
    interval_count: i64,
}

impl From<stripe::Price> for PriceView {
    fn from(price: stripe::Price) -> Self {
        Self {
            amount: price.amount,
            currency: price.currency,
            interval: price.interval,
            interval_count: price.interval_count,
        }
    }
}

/// What became of a checkout.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = CheckoutReturn)]
pub(super) struct LandingView {
    /// None when the person turned back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// `complete`: paid, or being paid; `open`: it can still be; `expired`; `cancelled`: no checkout is named, the person
    /// turned back or comes from the portal.
    #[schema(value_type = String, example = "complete")]
    pub status: &'static str,
}

impl LandingView {
    pub(super) const fn word(stage: Stage) -> &'static str {
        match stage {
            Stage::Making | Stage::Open => "open",
            Stage::Complete => "complete",
            Stage::Expired => "expired",
        }
    }
}
