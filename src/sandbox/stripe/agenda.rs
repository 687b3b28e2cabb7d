//! What falls due, in its order, while time goes on.

use super::checkout::{self, Session};
use super::customers::{Card, Customer};
use super::invoice;
use super::subscription::{Status, Subscription};
use super::world::World;

/// Stripe keeps events for so long: <https://docs.stripe.com/api/events>
const EVENTS_LAST: i64 = 30 * 24 * 60 * 60;
/// Before a trial ends.
const TRIAL_WARNING: i64 = 3 * 24 * 60 * 60;

/// An appointment. Whoever keeps it looks whether it still holds: nothing is taken from the agenda when plans change.
#[derive(Clone, Debug)]
pub(super) enum Due {
    SessionExpires(String),
    /// A delayed payment arrives, or does not.
    Arrives(String),
    Finalize(String),
    Attempt(String),
    PeriodEnds(String),
    TrialWillEnd(String),
    IncompleteExpires(String),
    Cancel(String),
    CollectionResumes(String),
}

impl World {
    pub(super) fn appoint(&mut self, at: i64, due: Due) {
        self.last_serial += 1;
        self.agenda.insert((at, self.last_serial), due);
    }

    /// The appointments of a period that begins.
    pub(super) fn appoint_period(&mut self, id: &str) {
        let Some(subscription) = self.subscriptions.get(id) else { return };
        let (end, is_trial) = (subscription.period_end, subscription.status == Status::Trialing);
        self.appoint(end, Due::PeriodEnds(id.to_owned()));
        if is_trial {
            self.appoint((end - TRIAL_WARNING).max(self.now), Due::TrialWillEnd(id.to_owned()));
        }
    }

    /// Lives up to what the clock says: all that falls due on the way, each at its own time.
    pub(super) fn catch_up(&mut self) {
        let until = self.clock.now();
        while let Some(entry) = self.agenda.first_entry() {
            let at = entry.key().0;
            if at > until {
                break;
            }
            let due = entry.remove();
            self.now = self.now.max(at);
            self.keep(due);
        }
        self.now = self.now.max(until);
        let oldest = self.now - EVENTS_LAST;
        while self.events.iter().next().is_some_and(|event| event.created < oldest) {
            self.events.drop_oldest();
        }
    }

    fn keep(&mut self, due: Due) {
        let now = self.now;
        match due {
            Due::SessionExpires(id) => {
                if self.sessions.get(&id).is_some_and(|session| session.expires_at <= now) {
                    checkout::expire_now(self, &id);
                }
            }
            Due::Arrives(id) => self.arrives(&id),
            Due::Finalize(id) => {
                if self.invoices.get(&id).is_some_and(|invoice| invoice.finalizes_at.is_some_and(|at| at <= now)) {
                    self.finalize_and_collect(&id);
                }
            }
            Due::Attempt(id) => {
                if self.invoices.get(&id).is_some_and(|invoice| invoice.next_attempt.is_some_and(|at| at <= now)) {
                    self.collect(&id);
                }
            }
            Due::PeriodEnds(id) => {
                if self.subscriptions.get(&id).is_some_and(|subscription| subscription.period_end <= now) {
                    self.period_ends(&id);
                }
            }
            Due::TrialWillEnd(id) => {
                if self.status_of(&id) == Some(Status::Trialing) {
                    self.announce::<Subscription>(&id, "customer.subscription.trial_will_end");
                }
            }
            Due::IncompleteExpires(id) => {
                if self.status_of(&id) == Some(Status::Incomplete) {
                    self.incomplete_expires(&id);
                }
            }
            Due::Cancel(id) => {
                if self
                    .subscriptions
                    .get(&id)
                    .is_some_and(|subscription| subscription.cancel_at.is_some_and(|at| at <= now))
                {
                    self.cancel(&id, "cancellation_requested");
                }
            }
            Due::CollectionResumes(id) => {
                let resumes =
                    |subscription: &Subscription| subscription.pause.as_ref().and_then(|pause| pause.resumes_at);
                if self.subscriptions.get(&id).and_then(resumes).is_some_and(|at| at <= now) {
                    self.change::<Subscription>(&id, "customer.subscription.updated", |it| it.pause = None);
                }
            }
        }
    }

    pub(super) fn status_of(&self, subscription: &str) -> Option<Status> {
        self.subscriptions.get(subscription).map(|subscription| subscription.status)
    }

    /// What was on its way with a session's delayed payment.
    fn arrives(&mut self, id: &str) {
        let Some(session) = self.sessions.get(id) else { return };
        let (Some(succeeds), Some(invoice)) = (session.arriving, session.invoice.clone()) else { return };
        let customer = session.customer.clone().unwrap_or_default();
        let is_open = self.invoices.get(&invoice).is_some_and(|invoice| invoice.status == invoice::Status::Open);
        self.set::<Session>(id, |session| session.arriving = None);
        if succeeds && is_open {
            self.settle(&invoice);
            self.set::<Customer>(&customer, |customer| customer.card = Card::Good);
            self.set::<Session>(id, |session| session.payment = checkout::Payment::Paid);
            self.announce::<Session>(id, "checkout.session.async_payment_succeeded");
        } else {
            if is_open {
                self.miss(&invoice);
            }
            self.announce::<Session>(id, "checkout.session.async_payment_failed");
        }
    }

    /// When the earliest running period ends and its invoice has been tried.
    pub(super) fn next_period(&self) -> Option<i64> {
        let is_running = |subscription: &&Subscription| {
            !subscription.status.is_over() && !matches!(subscription.status, Status::Incomplete | Status::Paused)
        };
        let ends = self.subscriptions.iter().filter(is_running).map(|subscription| subscription.period_end);
        ends.min().map(|end| end + self.habits.draft_seconds)
    }
}
