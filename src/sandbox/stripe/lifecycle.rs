//! A subscription's life: begun, renewed, paused, cancelled.

use serde_json::{Map, Value};

use super::agenda::Due;
use super::catalog::Price;
use super::customers::{Card, Customer};
use super::ids;
use super::payment::{Intent, IntentStatus};
use super::period;
use super::subscription::{Status, Subscription, Trial};
use super::world::World;
use super::{invoice, invoice::Invoice};

/// An incomplete subscription has so long to be paid:
/// <https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses>
const INCOMPLETE_LASTS: i64 = 23 * 60 * 60;
const DAY: i64 = 24 * 60 * 60;
pub(super) const UPDATED: &str = "customer.subscription.updated";

/// What a subscription is begun with.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) customer: String,
    pub(super) price: Price,
    pub(super) quantity: i64,
    pub(super) metadata: Map<String, Value>,
    /// 0 for none.
    pub(super) trial_days: i64,
    pub(super) without_card: String,
}

impl World {
    /// Makes a subscription and its first invoice, open but not paid; a trial's is paid, being nothing.
    pub(super) fn begin(&mut self, begun: Begun) -> String {
        let now = self.now;
        let trial = (begun.trial_days > 0).then(|| Trial { start: now, end: now + begun.trial_days * DAY });
        let anchor = trial.map_or(now, |trial| trial.end);
        let method = self.customers.get(&begun.customer).and_then(Customer::method);
        let id = ids::fresh("sub_");
        let subscription = Subscription {
            id: id.clone(),
            item: ids::fresh("si_"),
            created: now,
            customer: begun.customer,
            status: if trial.is_some() { Status::Trialing } else { Status::Incomplete },
            period_start: now,
            period_end: trial.map_or_else(|| period::next(now, begun.price.interval, now), |trial| trial.end),
            price: begun.price,
            quantity: begun.quantity,
            metadata: begun.metadata,
            anchor,
            trial,
            cancel_at_period_end: false,
            cancel_at: None,
            canceled_at: None,
            ended_at: None,
            why_canceled: None,
            comment: None,
            feedback: None,
            latest_invoice: None,
            pause: None,
            method,
            without_card: begun.without_card,
        };
        self.add(subscription, "customer.subscription.created");
        if trial.is_none() {
            self.appoint(now + INCOMPLETE_LASTS, Due::IncompleteExpires(id.clone()));
        }
        self.appoint_period(&id);
        if let Some(invoice) = self.bill(&id, "subscription_create") {
            self.finalize(&invoice);
        }
        id
    }

    /// The end of the current period: an end, a pause, or the next one.
    pub(super) fn period_ends(&mut self, id: &str) {
        let Some(subscription) = self.subscriptions.get(id) else { return };
        let card = self.customers.get(&subscription.customer).map_or(Card::None, |customer| customer.card);
        let is_trials_end = subscription.status == Status::Trialing;
        match (subscription.status, subscription.without_card.as_str()) {
            (Status::Canceled | Status::IncompleteExpired | Status::Incomplete | Status::Paused, _) => {}
            _ if subscription.cancel_at_period_end => self.cancel(id, "cancellation_requested"),
            (Status::Trialing, "pause") if card == Card::None => {
                self.change::<Subscription>(id, UPDATED, |it| it.status = Status::Paused);
                self.announce::<Subscription>(id, "customer.subscription.paused");
            }
            (Status::Trialing, "cancel") if card == Card::None => self.cancel(id, "cancellation_requested"),
            _ => self.renew(id, is_trials_end),
        }
    }

    fn renew(&mut self, id: &str, is_trials_end: bool) {
        self.change::<Subscription>(id, UPDATED, |it| {
            it.period_start = it.period_end;
            it.period_end = period::next(it.anchor, it.price.interval, it.period_start);
            if is_trials_end {
                it.status = Status::Active;
            }
        });
        self.appoint_period(id);
        let Some(subscription) = self.subscriptions.get(id) else { return };
        let is_kept = subscription.status == Status::Unpaid
            || subscription.pause.as_ref().is_some_and(|pause| pause.behavior == "keep_as_draft");
        let Some(invoice) = self.bill(id, "subscription_cycle") else { return };
        if is_kept {
            self.change::<Invoice>(&invoice, "invoice.updated", |it| it.finalizes_at = None);
        } else if self.habits.draft_seconds == 0 {
            self.finalize_and_collect(&invoice);
        }
    }

    /// Ends it at once.
    pub(super) fn cancel(&mut self, id: &str, why: &'static str) {
        let now = self.now;
        if self.status_of(id).is_none_or(Status::is_over) {
            return;
        }
        self.set::<Subscription>(id, |it| {
            it.status = Status::Canceled;
            it.ended_at = Some(now);
            it.canceled_at = it.canceled_at.or(Some(now));
            it.why_canceled = it.why_canceled.or(Some(why));
            it.pause = None;
        });
        self.announce::<Subscription>(id, "customer.subscription.deleted");
        // What is still open is not tried again.
        let open: Vec<String> = self
            .invoices
            .iter()
            .filter(|invoice| invoice.subscription == id && (invoice.next_attempt.or(invoice.finalizes_at)).is_some())
            .map(|invoice| invoice.id.clone())
            .collect();
        for invoice in open {
            self.change::<Invoice>(&invoice, "invoice.updated", |it| (it.next_attempt, it.finalizes_at) = (None, None));
        }
    }

    pub(super) fn incomplete_expires(&mut self, id: &str) {
        let now = self.now;
        self.change::<Subscription>(id, UPDATED, |it| {
            it.status = Status::IncompleteExpired;
            it.ended_at = Some(now);
        });
        let latest = self.subscriptions.get(id).and_then(|subscription| subscription.latest_invoice.clone());
        if let Some(invoice) = latest {
            self.void(&invoice);
        }
    }

    pub(super) fn void(&mut self, id: &str) {
        let now = self.now;
        let Some(invoice) = self.invoices.get(id) else { return };
        if matches!(invoice.status, invoice::Status::Paid | invoice::Status::Void) {
            return;
        }
        let intent = invoice.intent.clone();
        self.change::<Invoice>(id, "invoice.voided", |it| {
            it.status = invoice::Status::Void;
            it.voided_at = Some(now);
            (it.next_attempt, it.finalizes_at) = (None, None);
        });
        if let Some(intent) = intent {
            self.change::<Intent>(&intent, "payment_intent.canceled", |it| {
                it.status = IntentStatus::Canceled;
                it.canceled_at = Some(now);
            });
        }
    }

    /// Ends a pause: a new period begins now, and is billed.
    pub(super) fn resume(&mut self, id: &str) {
        let now = self.now;
        self.change::<Subscription>(id, UPDATED, |it| {
            it.status = Status::Active;
            it.anchor = now;
            it.period_start = now;
            it.period_end = period::next(now, it.price.interval, now);
        });
        self.announce::<Subscription>(id, "customer.subscription.resumed");
        self.appoint_period(id);
        if let Some(invoice) = self.bill(id, "subscription_cycle") {
            self.finalize_and_collect(&invoice);
        }
    }

    /// Sets or takes back an end with the period.
    pub(super) fn cancel_at_period_end(&mut self, id: &str, cancels: bool) {
        let now = self.now;
        self.change::<Subscription>(id, UPDATED, |it| {
            it.cancel_at_period_end = cancels;
            it.canceled_at = cancels.then_some(now);
            it.why_canceled = cancels.then_some("cancellation_requested");
        });
    }
}
