//! Invoices on their way: drawn up, finalized, collected, missed and tried again.

use super::Ending;
use super::agenda::Due;
use super::customers::{Card, Customer, invoice_prefix};
use super::ids;
use super::invoice::{Invoice, Status};
use super::lifecycle::UPDATED;
use super::payment::{Charge, ChargeStatus, Intent, IntentStatus, Means};
use super::subscription::{self, Subscription};
use super::world::World;

const DAY: i64 = 24 * 60 * 60;
/// Between tries after a declined one; three weeks in all.
const RETRIES: [i64; 4] = [3 * DAY, 5 * DAY, 6 * DAY, 7 * DAY];

impl World {
    /// Draws up the invoice for a subscription's current period. The first one goes out at once, the later ones wait as
    /// drafts for the account's usual time.
    pub(super) fn bill(&mut self, subscription: &str, reason: &'static str) -> Option<String> {
        let (now, id) = (self.now, ids::fresh("in_"));
        let subscription = self.subscriptions.get(subscription)?;
        let customer = self.customers.get(&subscription.customer)?;
        let is_trial = subscription.status == subscription::Status::Trialing;
        let is_first = reason == "subscription_create";
        let invoice = Invoice {
            id: id.clone(),
            created: now,
            customer: subscription.customer.clone(),
            email: None,
            name: None,
            phone: None,
            subscription: subscription.id.clone(),
            item: subscription.item.clone(),
            metadata: subscription.metadata.clone(),
            price: subscription.price.clone(),
            quantity: subscription.quantity,
            amount: if is_trial { 0 } else { subscription.amount() },
            reason,
            start: subscription.period_start,
            end: subscription.period_end,
            status: Status::Draft,
            number: None,
            attempts: 0,
            next_attempt: None,
            finalizes_at: (!is_first).then_some(now + self.habits.draft_seconds),
            finalized_at: None,
            paid_at: None,
            voided_at: None,
            uncollectible_at: None,
            intent: None,
        };
        let invoice = invoice.addressed_to(customer);
        let (subscription, at) = (invoice.subscription.clone(), invoice.finalizes_at);
        self.add(invoice, "invoice.created");
        self.change::<Subscription>(&subscription, UPDATED, |it| it.latest_invoice = Some(id.clone()));
        if let Some(at) = at {
            self.appoint(at, Due::Finalize(id.clone()));
        }
        Some(id)
    }

    /// Makes a draft final; one over nothing is paid with that.
    pub(super) fn finalize(&mut self, id: &str) {
        let now = self.now;
        let Some(invoice) = self.invoices.get(id).filter(|invoice| invoice.status == Status::Draft) else { return };
        let customer = invoice.customer.clone();
        let count = self.customers.get(&customer).map_or(0, |customer| customer.invoices) + 1;
        let number = format!("{}-{count:04}", invoice_prefix(&customer));
        let intent = (invoice.amount > 0).then(|| Intent {
            id: ids::fresh("pi_"),
            created: now,
            customer: invoice.customer.clone(),
            invoice: id.to_owned(),
            amount: invoice.amount,
            currency: invoice.price.currency.clone(),
            status: IntentStatus::Wanting,
            charge: None,
            canceled_at: None,
        });
        let (is_free, intent_id) = (intent.is_none(), intent.as_ref().map(|intent| intent.id.clone()));
        self.set::<Customer>(&customer, |customer| customer.invoices = count);
        if let Some(intent) = intent {
            self.add(intent, "payment_intent.created");
        }
        self.change::<Invoice>(id, "invoice.finalized", |it| {
            it.status = Status::Open;
            it.number = Some(number);
            it.finalized_at = Some(now);
            it.finalizes_at = None;
            it.intent = intent_id;
        });
        if is_free {
            self.paid(id);
        }
    }

    pub(super) fn finalize_and_collect(&mut self, id: &str) {
        let Some(invoice) = self.invoices.get(id) else { return };
        let pause = self.subscriptions.get(&invoice.subscription).and_then(|it| it.pause.as_ref());
        let behavior = pause.map(|pause| pause.behavior.clone());
        let now = self.now;
        match behavior.as_deref() {
            Some("keep_as_draft") => self.change::<Invoice>(id, "invoice.updated", |it| it.finalizes_at = None),
            Some("void") => {
                self.finalize(id);
                self.void(id);
            }
            Some("mark_uncollectible") => {
                self.finalize(id);
                self.change::<Invoice>(id, "invoice.marked_uncollectible", |it| {
                    it.status = Status::Uncollectible;
                    it.uncollectible_at = Some(now);
                });
            }
            _ => {
                self.finalize(id);
                self.collect(id);
            }
        }
    }

    /// Tries the customer's card; true if the invoice is paid now.
    pub(super) fn collect(&mut self, id: &str) -> bool {
        let Some(invoice) = self.invoices.get(id) else { return false };
        if !matches!(invoice.status, Status::Open | Status::Uncollectible) {
            return invoice.status == Status::Paid;
        }
        let card = self.customers.get(&invoice.customer).map_or(Card::None, |customer| customer.card);
        if card == Card::Good {
            self.settle(id);
        } else {
            self.miss(id);
        }
        card == Card::Good
    }

    /// The money has come.
    pub(super) fn settle(&mut self, id: &str) {
        self.charge(id, ChargeStatus::Succeeded);
        self.paid(id);
    }

    fn paid(&mut self, id: &str) {
        let now = self.now;
        self.set::<Invoice>(id, |it| {
            it.status = Status::Paid;
            it.paid_at = Some(now);
            it.attempts += u32::from(it.intent.is_some());
            it.next_attempt = None;
        });
        self.announce::<Invoice>(id, "invoice.paid");
        self.announce::<Invoice>(id, "invoice.payment_succeeded");
        let Some(invoice) = self.invoices.get(id) else { return };
        let (subscription, customer) = (invoice.subscription.clone(), invoice.customer.clone());
        self.set::<Customer>(&customer, |it| it.is_delinquent = false);
        let is_latest = |it: &Subscription| it.latest_invoice.as_deref() == Some(id);
        if self.subscriptions.get(&subscription).is_some_and(is_latest) {
            self.change::<Subscription>(&subscription, UPDATED, |it| {
                use subscription::Status::{Active, Incomplete, PastDue, Unpaid};
                if matches!(it.status, Incomplete | PastDue | Unpaid) {
                    it.status = Active;
                }
            });
        }
    }

    /// The money has not come: the next try is set, or it was the last.
    pub(super) fn miss(&mut self, id: &str) {
        let now = self.now;
        self.charge(id, ChargeStatus::Failed);
        let Some(invoice) = self.invoices.get(id) else { return };
        let (subscription, customer) = (invoice.subscription.clone(), invoice.customer.clone());
        let status = self.status_of(&subscription);
        let is_renewal = status.is_some_and(|status| status != subscription::Status::Incomplete && !status.is_over());
        let gap = RETRIES.get(usize::try_from(invoice.attempts).unwrap_or(usize::MAX)).filter(|_| is_renewal);
        let next = gap.map(|gap| now + gap);
        self.set::<Invoice>(id, |it| {
            it.attempts += 1;
            it.next_attempt = next;
        });
        self.announce::<Invoice>(id, "invoice.payment_failed");
        self.set::<Customer>(&customer, |it| it.is_delinquent = true);
        match next {
            _ if !is_renewal => {}
            Some(at) => {
                self.appoint(at, Due::Attempt(id.to_owned()));
                self.change::<Subscription>(&subscription, UPDATED, |it| {
                    if it.status == subscription::Status::Active {
                        it.status = subscription::Status::PastDue;
                    }
                });
            }
            None => match self.habits.ending {
                Ending::Cancel => self.cancel(&subscription, "payment_failed"),
                Ending::Unpaid => {
                    self.change::<Subscription>(&subscription, UPDATED, |it| it.status = subscription::Status::Unpaid);
                }
            },
        }
    }

    /// The payment is on its way and takes its time.
    pub(super) fn send_slowly(&mut self, id: &str) {
        self.charge(id, ChargeStatus::Pending);
    }

    /// One try, or what became of one that was on its way.
    fn charge(&mut self, invoice: &str, status: ChargeStatus) {
        let now = self.now;
        let Some(invoice) = self.invoices.get(invoice) else { return };
        let Some(intent) = invoice.intent.as_ref().and_then(|id| self.intents.get(id)) else { return };
        let (intent_id, pending) = (intent.id.clone(), intent.charge.clone());
        let (charge_event, intent_event, intent_status) = match status {
            ChargeStatus::Pending => ("charge.pending", "payment_intent.processing", IntentStatus::Processing),
            ChargeStatus::Succeeded => ("charge.succeeded", "payment_intent.succeeded", IntentStatus::Succeeded),
            ChargeStatus::Failed => ("charge.failed", "payment_intent.payment_failed", IntentStatus::Wanting),
        };
        let is_pending =
            |id: &String| self.charges.get(id).is_some_and(|charge| charge.status == ChargeStatus::Pending);
        let id = if let Some(pending) = pending.filter(is_pending) {
            self.change::<Charge>(&pending, charge_event, |it| it.status = status);
            pending
        } else {
            let means = if status == ChargeStatus::Pending { Means::Debit } else { Means::Card };
            let charge = Charge::of(intent, means, status, now);
            let id = charge.id.clone();
            self.add(charge, charge_event);
            id
        };
        self.set::<Intent>(&intent_id, |it| (it.status, it.charge) = (intent_status, Some(id)));
        self.announce::<Intent>(&intent_id, intent_event);
    }
}
