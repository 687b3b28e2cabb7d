//! What somebody does at a checkout page: pay, be declined, pay slowly, leave.

use serde::{Deserialize, Serialize};

use super::agenda::Due;
use super::checkout::{self, Payment, Session};
use super::customers::{Card, Customer};
use super::ids;
use super::lifecycle::Begun;
use super::payment::{Charge, ChargeStatus, Intent, IntentStatus, Means};
use super::world::World;

/// What to do with an open session.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// With a card that is good.
    Pay,
    /// With a card that is declined: the session stays open.
    Decline,
    /// With a method that takes its time, and succeeds.
    Delayed,
    /// With a method that takes its time, and fails.
    DelayedFailure,
    /// Goes back: nothing happens to the session.
    Cancel,
    /// Ends the session, as its time does.
    Expire,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The browser goes there.
    Leaves(String),
    /// The page stays, with a word.
    Stays(&'static str),
}

impl World {
    /// None: there is no such session.
    pub(super) fn act(&mut self, id: &str, action: Action) -> Option<Outcome> {
        let session = self.sessions.get(id)?.clone();
        if session.status != checkout::Status::Open {
            return Some(match session.status {
                checkout::Status::Complete => Outcome::Leaves(session.success()),
                _ => Outcome::Stays("This session has expired."),
            });
        }
        Some(match action {
            Action::Pay => self.complete(&session, None),
            Action::Delayed => self.complete(&session, Some(true)),
            Action::DelayedFailure => self.complete(&session, Some(false)),
            Action::Decline => {
                self.decline(&session);
                Outcome::Stays("Your card was declined.")
            }
            Action::Cancel => match &session.cancel_url {
                Some(url) => Outcome::Leaves(url.clone()),
                None => Outcome::Stays("There is no page to go back to."),
            },
            Action::Expire => {
                checkout::expire_now(self, id);
                Outcome::Stays("This session has expired.")
            }
        })
    }

    /// `delayed` says whether a slow payment will come; None pays at once.
    fn complete(&mut self, session: &Session, delayed: Option<bool>) -> Outcome {
        let customer = self.customer_of(session);
        let is_free = session.due_today() == 0;
        let wants_card = !(is_free && session.is_card_optional);
        // A debit is a way to pay again once it has come.
        if wants_card && (delayed.is_none() || is_free) {
            self.set::<Customer>(&customer, |customer| customer.card = Card::Good);
        }
        let subscription = self.begin(Begun {
            customer: customer.clone(),
            price: session.price.clone(),
            quantity: session.quantity,
            metadata: session.subscription_metadata.clone(),
            trial_days: session.trial_days,
            without_card: session.without_card.clone(),
        });
        let invoice =
            self.subscriptions.get(&subscription).and_then(|subscription| subscription.latest_invoice.clone());
        let payment = match (is_free, delayed, &invoice) {
            (false, None, Some(invoice)) => {
                self.settle(invoice);
                Payment::Paid
            }
            (false, Some(_), Some(invoice)) => {
                self.send_slowly(invoice);
                self.appoint(self.now + self.habits.delayed_seconds, Due::Arrives(session.id.clone()));
                Payment::Unpaid
            }
            _ => Payment::NotRequired,
        };
        self.set::<Session>(&session.id, |session| {
            session.status = checkout::Status::Complete;
            session.payment = payment;
            session.customer = Some(customer);
            session.subscription = Some(subscription);
            session.invoice = invoice;
            session.arriving = delayed.filter(|_| payment == Payment::Unpaid);
        });
        self.announce::<Session>(&session.id, "checkout.session.completed");
        Outcome::Leaves(session.success())
    }

    /// The session's, or one made now.
    fn customer_of(&mut self, session: &Session) -> String {
        let known =
            session.customer.as_ref().filter(|id| self.customers.get(id).is_some_and(|customer| !customer.is_deleted));
        if let Some(id) = known {
            return id.clone();
        }
        let customer = Customer { email: session.email.clone(), ..Customer::new(self.now) };
        let id = customer.id.clone();
        self.add(customer, "customer.created");
        id
    }

    /// Tells of the try; a subscription is not made for it.
    fn decline(&mut self, session: &Session) {
        let intent = Intent {
            id: ids::fresh("pi_"),
            created: self.now,
            customer: self.customer_of(session),
            invoice: String::new(),
            amount: session.amount(),
            currency: session.price.currency.clone(),
            status: IntentStatus::Wanting,
            charge: None,
            canceled_at: None,
        };
        let charge = Charge::of(&intent, Means::Card, ChargeStatus::Failed, self.now);
        let (intent_id, customer) = (intent.id.clone(), intent.customer.clone());
        self.set::<Session>(&session.id, |session| session.customer = Some(customer));
        let intent = Intent { charge: Some(charge.id.clone()), ..intent };
        self.intents.add(intent);
        self.add(charge, "charge.failed");
        self.announce::<Intent>(&intent_id, "payment_intent.payment_failed");
    }
}
