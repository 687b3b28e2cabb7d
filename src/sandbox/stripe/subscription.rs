//! A subscription as it stands, and as Stripe shows it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::catalog::Price;
use super::list;
use super::shape;
use super::world::object;

#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) id: String,
    /// Of its one item.
    pub(super) item: String,
    pub(super) created: i64,
    pub(super) customer: String,
    pub(super) status: Status,
    pub(super) price: Price,
    pub(super) quantity: i64,
    pub(super) metadata: Map<String, Value>,
    pub(super) period_start: i64,
    pub(super) period_end: i64,
    /// The day of the month that periods begin on is this moment's.
    pub(super) anchor: i64,
    pub(super) trial: Option<Trial>,
    pub(super) cancel_at_period_end: bool,
    /// At a time of its own.
    pub(super) cancel_at: Option<i64>,
    pub(super) canceled_at: Option<i64>,
    pub(super) ended_at: Option<i64>,
    pub(super) why_canceled: Option<&'static str>,
    pub(super) comment: Option<String>,
    pub(super) feedback: Option<String>,
    pub(super) latest_invoice: Option<String>,
    pub(super) pause: Option<Pause>,
    pub(super) method: Option<String>,
    /// What becomes of a trial that ends without a card: `pause`, `cancel` or `create_invoice`.
    pub(super) without_card: String,
}

object!(Subscription, "subscription", subscriptions);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// Payments are paused, the subscription is not.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pause {
    /// `keep_as_draft`, `mark_uncollectible` or `void`.
    pub(super) behavior: String,
    pub(super) resumes_at: Option<i64>,
}

/// <https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses>
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Incomplete,
    IncompleteExpired,
    Trialing,
    Active,
    PastDue,
    Unpaid,
    Canceled,
    Paused,
}

impl Status {
    pub(super) const WORDS: [&str; 8] =
        ["incomplete", "incomplete_expired", "trialing", "active", "past_due", "unpaid", "canceled", "paused"];

    pub(super) fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// Nothing will happen to it any more.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }
}

impl Subscription {
    fn show(&self) -> Value {
        let url = format!("/v1/subscription_items?subscription={}", self.id);
        shape::complete(
            &shape::SUBSCRIPTION,
            json!({
                "id": self.id,
                "billing_cycle_anchor": self.anchor,
                "cancel_at": self.cancels_at(),
                "cancel_at_period_end": self.cancel_at_period_end,
                "canceled_at": self.canceled_at,
                "cancellation_details": {
                    "comment": self.comment,
                    "feedback": self.feedback,
                    "reason": self.why_canceled,
                },
                "created": self.created,
                "currency": self.price.currency,
                "customer": self.customer,
                "default_payment_method": self.method,
                "ended_at": self.ended_at,
                "items": list::whole(&url, &[self.item()]),
                "latest_invoice": self.latest_invoice,
                "metadata": self.metadata,
                "pause_collection": self.pause.as_ref().map(|pause| {
                    json!({"behavior": pause.behavior, "resumes_at": pause.resumes_at})
                }),
                "start_date": self.created,
                "status": self.status.word(),
                "trial_end": self.trial.map(|trial| trial.end),
                "trial_settings": {"end_behavior": {"missing_payment_method": self.without_card}},
                "trial_start": self.trial.map(|trial| trial.start),
            }),
        )
    }

    fn item(&self) -> Value {
        json!({
            "id": self.item,
            "object": "subscription_item",
            "billing_thresholds": null,
            "created": self.created,
            "current_period_end": self.period_end,
            "current_period_start": self.period_start,
            "discounts": [],
            "metadata": {},
            "plan": self.price.plan(),
            "price": self.price.show(),
            "quantity": self.quantity,
            "subscription": self.id,
            "tax_rates": [],
        })
    }

    pub(super) fn amount(&self) -> i64 {
        self.price.amount.saturating_mul(self.quantity)
    }

    /// Since basil the period's end also shows as `cancel_at`.
    pub(super) fn cancels_at(&self) -> Option<i64> {
        if self.cancel_at_period_end { Some(self.period_end) } else { self.cancel_at }
    }
}
