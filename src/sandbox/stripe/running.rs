//! A sandbox that listens, as a test holds it in its hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::customers::{Card, Customer};
use super::delivery::{self, Attempt, Webhooks};
use super::journal::Entry;
use super::pay::{Action, Outcome};
use super::script::Rule;
use super::subscription::Status;
use super::world::Object;
use super::{Sandbox, base_url, disputes, events, force, refunds, signature};

/// It goes on when this is dropped; its token ends it.
#[derive(Clone, Debug)]
pub struct Running {
    pub address: SocketAddr,
    pub(super) sandbox: Arc<Sandbox>,
}

impl Running {
    /// What a client's base URL is set to.
    #[must_use]
    pub fn base_url(&self) -> String {
        base_url(self.address)
    }

    /// Adds a rule after those that wait already.
    pub fn script(&self, rule: Rule) {
        self.sandbox.script.add(rule);
    }

    /// Forgets the rules that have not been used up.
    pub fn clear_script(&self) {
        self.sandbox.script.clear();
    }

    /// What was asked so far, oldest first.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.sandbox.journal.entries(0, |_| true)
    }

    pub fn clear_journal(&self) {
        self.sandbox.journal.clear();
    }

    /// Waits until the journal is as wanted, and returns it.
    pub async fn wait_until(&self, wanted: impl Fn(&[Entry]) -> bool) -> Vec<Entry> {
        self.sandbox.journal.wait_until(wanted).await
    }

    /// Lets those requests go on that are held now.
    pub fn release(&self) {
        self.sandbox.release();
    }

    /// Its time, in Unix seconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.sandbox.with(|world| world.now)
    }

    /// Moves its clock; what falls due on the way has happened when this returns.
    pub fn advance(&self, by: Duration) {
        self.sandbox.advance(i64::try_from(by.as_secs()).unwrap_or(i64::MAX));
    }

    /// Moves its clock to when the next period has ended and its invoice has been tried; false if none will.
    pub fn advance_to_next_period(&self) -> bool {
        let (now, next) = self.sandbox.with(|world| (world.now, world.next_period()));
        let Some(next) = next else { return false };
        self.sandbox.advance((next - now).max(0));
        true
    }

    /// Does what somebody does at a session's page; where the browser goes then, if it leaves.
    #[must_use]
    pub fn checkout(&self, session: &str, action: Action) -> Option<String> {
        match self.sandbox.with(|world| world.act(session, action))? {
            Outcome::Leaves(url) => Some(url),
            Outcome::Stays(_) => None,
        }
    }

    /// Sets a subscription's status by hand; false if there is no such one.
    pub fn set_status(&self, subscription: &str, status: Status) -> bool {
        self.sandbox.with(|world| force::status(world, subscription, status)).is_ok()
    }

    /// Gives a customer another card; false if there is no such customer.
    pub fn set_card(&self, customer: &str, card: Card) -> bool {
        self.sandbox.with(|world| {
            let is_there = world.customers.get(customer).is_some();
            world.change::<Customer>(customer, "customer.updated", |customer| customer.card = card);
            is_there
        })
    }

    /// A bank disputes a charge; false if it cannot.
    pub fn dispute(&self, charge: &str) -> bool {
        self.sandbox.with(|world| disputes::open(world, charge, None)).is_ok()
    }

    /// A refund comes back; false if it cannot.
    pub fn fail_refund(&self, refund: &str) -> bool {
        self.sandbox.with(|world| refunds::fail(world, refund)).is_ok()
    }

    /// Changes how webhooks are delivered from now on.
    pub fn webhooks(&self, ways: Webhooks) {
        self.sandbox.delivery.set(ways);
    }

    /// Every try to deliver one, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Attempt> {
        self.sandbox.delivery.attempts()
    }

    /// Returns when all webhooks are delivered or given up. Those that are held count as on their way.
    pub async fn settled(&self) {
        self.sandbox.delivery.settled().await;
    }

    /// All events that are kept, oldest first, as they are delivered.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.sandbox.with(|world| {
            let ids: Vec<String> = world.events.iter().map(|event| event.id.clone()).collect();
            ids.iter().filter_map(|id| events::retrieve(world, id).ok()).collect()
        })
    }

    /// Delivers one event now, once, to all who want it: the statuses they answered, None for no answer.
    pub async fn deliver(&self, event: &str) -> Vec<Option<u16>> {
        let Some(event) = self.sandbox.with(|world| world.events.get(event).cloned()) else { return Vec::new() };
        let once = Webhooks { tries: 1, ..self.sandbox.delivery.ways() };
        delivery::deliver(&self.sandbox, &event, &once).await
    }

    /// The header `Stripe-Signature` for a body that is sent at this time.
    #[must_use]
    pub fn sign(&self, body: &[u8], secret: &str, time: i64) -> String {
        signature::header(body, secret, time)
    }

    /// A subscription as it stands, without a request.
    #[must_use]
    pub fn subscription(&self, id: &str) -> Option<Value> {
        self.sandbox.with(|world| world.subscriptions.get(id).map(Object::view))
    }

    /// Returns when it has stopped listening and the last connection is closed.
    pub async fn stopped(&self) {
        self.sandbox.tasks.wait().await;
    }
}
