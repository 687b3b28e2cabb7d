//! All that this Stripe knows: its objects, its time, and what it told of every change.
//!
//! One lock holds all of it, so a request sees and changes it as a whole.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::agenda::Due;
use super::catalog::Price;
use super::checkout::Session;
use super::customers::Customer;
use super::disputes::Dispute;
use super::endpoints::Endpoint;
use super::error::{Fault, Refusal};
use super::events::Event;
use super::invoice::Invoice;
use super::payment::{Charge, Intent};
use super::portal::Portal;
use super::refunds::Refund;
use super::shelf::{Kept, Shelf};
use super::subscription::Subscription;
use super::{Clock, Ending};

/// What the operator of this account has set.
#[derive(Clone, Debug)]
pub(super) struct Habits {
    pub(super) api_version: String,
    pub(super) trial_days: i64,
    pub(super) draft_seconds: i64,
    pub(super) delayed_seconds: i64,
    pub(super) ending: Ending,
    /// Where its own pages are.
    pub(super) base_url: String,
    pub(super) most_events: usize,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) habits: Habits,
    pub(super) clock: Clock,
    /// How far the world has lived; between requests that is the clock's time.
    pub(super) now: i64,
    /// When the account was made.
    pub(super) began: i64,
    pub(super) prices: Vec<Price>,
    pub(super) customers: Shelf<Customer>,
    pub(super) sessions: Shelf<Session>,
    pub(super) portals: Shelf<Portal>,
    pub(super) subscriptions: Shelf<Subscription>,
    pub(super) invoices: Shelf<Invoice>,
    pub(super) intents: Shelf<Intent>,
    pub(super) charges: Shelf<Charge>,
    pub(super) refunds: Shelf<Refund>,
    pub(super) disputes: Shelf<Dispute>,
    pub(super) endpoints: Shelf<Endpoint>,
    pub(super) events: Shelf<Event>,
    pub(super) agenda: BTreeMap<(i64, u64), Due>,
    pub(super) last_serial: u64,
    /// The request that is being executed, and its idempotency key: events name both.
    pub(super) cause: Option<(String, Option<String>)>,
    /// Events that nobody has begun to deliver.
    pub(super) outbox: Vec<Event>,
}

/// A kind of object that calls name by its id and events tell of.
pub(super) trait Object: Kept + Sized {
    /// In the words of error messages.
    const KIND: &'static str;
    fn shelf(world: &World) -> &Shelf<Self>;
    fn shelf_mut(world: &mut World) -> &mut Shelf<Self>;
    /// Its JSON, in the pinned version's shape.
    fn view(&self) -> Value;
}

/// `object!(Customer, "customer", customers)`: the type, its name, its shelf. The type has `id`, `created` and `show()`.
macro_rules! object {
    ($kind:ty, $name:literal, $shelf:ident) => {
        impl super::shelf::Kept for $kind {
            fn id(&self) -> &str {
                &self.id
            }
            fn created(&self) -> i64 {
                self.created
            }
        }
        impl super::world::Object for $kind {
            const KIND: &'static str = $name;
            fn shelf(world: &super::world::World) -> &super::shelf::Shelf<Self> {
                &world.$shelf
            }
            fn shelf_mut(world: &mut super::world::World) -> &mut super::shelf::Shelf<Self> {
                &mut world.$shelf
            }
            fn view(&self) -> serde_json::Value {
                self.show()
            }
        }
    };
}

pub(super) use object;

impl World {
    pub(super) fn new(habits: Habits, clock: Clock, prices: Vec<Price>) -> Self {
        let now = clock.now();
        Self {
            habits,
            clock,
            now,
            began: now,
            prices,
            customers: Shelf::default(),
            sessions: Shelf::default(),
            portals: Shelf::default(),
            subscriptions: Shelf::default(),
            invoices: Shelf::default(),
            intents: Shelf::default(),
            charges: Shelf::default(),
            refunds: Shelf::default(),
            disputes: Shelf::default(),
            endpoints: Shelf::default(),
            events: Shelf::default(),
            agenda: BTreeMap::new(),
            last_serial: 0,
            cause: None,
            outbox: Vec::new(),
        }
    }

    /// One that the request's address names.
    pub(super) fn find<T: Object>(&self, id: &str) -> Result<&T, Refusal> {
        T::shelf(self).get(id).ok_or_else(|| Fault::gone(T::KIND, id))
    }

    /// One that a parameter names.
    pub(super) fn named<T: Object>(&self, id: &str, param: &str) -> Result<&T, Refusal> {
        T::shelf(self).get(id).ok_or_else(|| Fault::no_such(T::KIND, id, param))
    }

    /// Makes one and tells of it.
    pub(super) fn add<T: Object>(&mut self, object: T, event: &str) {
        let view = object.view();
        T::shelf_mut(self).add(object);
        self.tell(event, &view, None);
    }

    /// Changes one and tells of it with what it was before; says nothing when nothing changed.
    pub(super) fn change<T: Object>(&mut self, id: &str, event: &str, how: impl FnOnce(&mut T)) {
        let Some(object) = T::shelf_mut(self).get_mut(id) else { return };
        let before = object.view();
        how(object);
        let after = object.view();
        let previous = difference(&before, &after);
        if !previous.is_empty() {
            // https://docs.stripe.com/api/events/object: only what is called an update says what it was before.
            let shows_before = event.ends_with(".updated") || event == "charge.refunded";
            self.tell(event, &after, shows_before.then(|| previous.into()));
        }
    }

    /// Changes one without a word; the telling is left to another event.
    pub(super) fn set<T: Object>(&mut self, id: &str, how: impl FnOnce(&mut T)) {
        if let Some(object) = T::shelf_mut(self).get_mut(id) {
            how(object);
        }
    }

    /// Tells of one as it is now.
    pub(super) fn announce<T: Object>(&mut self, id: &str, event: &str) {
        if let Some(view) = T::shelf(self).get(id).map(T::view) {
            self.tell(event, &view, None);
        }
    }

    fn tell(&mut self, kind: &str, object: &Value, previous: Option<Value>) {
        let event = Event::new(self, kind, object, previous);
        self.outbox.push(event.clone());
        self.events.add(event);
        while self.events.len() > self.habits.most_events {
            self.events.drop_oldest();
        }
    }

    /// What any id stands for, for `expand`.
    pub(super) fn any(&self, id: &str) -> Option<Value> {
        fn of<T: Object>(world: &World, id: &str) -> Option<Value> {
            T::shelf(world).get(id).map(T::view)
        }
        let by_prefix = match id.split('_').next()? {
            "cus" => of::<Customer>(self, id),
            "sub" => of::<Subscription>(self, id),
            "in" => of::<Invoice>(self, id),
            "pi" => of::<Intent>(self, id),
            "ch" => of::<Charge>(self, id),
            "re" => of::<Refund>(self, id),
            "cs" => of::<Session>(self, id),
            _ => None,
        };
        by_prefix.or_else(|| self.catalog(id))
    }

    fn catalog(&self, id: &str) -> Option<Value> {
        self.prices.iter().find_map(|price| match id {
            id if id == price.id => Some(price.show()),
            id if id == price.product => Some(price.product()),
            _ => None,
        })
    }
}

/// What `before` said of all that is different now; of metadata and the like only the keys that differ.
fn difference(before: &Value, after: &Value) -> Map<String, Value> {
    let (Some(before), Some(after)) = (before.as_object(), after.as_object()) else { return Map::new() };
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let changed = names.filter(|name| before.get(*name) != after.get(*name)).map(|name| {
        let (old, new) = (before.get(name).unwrap_or(&Value::Null), after.get(name).unwrap_or(&Value::Null));
        let is_plain = |value: &Value| value.as_object().is_some_and(|map| !map.contains_key("object"));
        let old = if is_plain(old) && is_plain(new) { difference(old, new).into() } else { old.clone() };
        (name.clone(), old)
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn previous_attributes_name_only_what_changed() {
        let before =
            json!({"a": 1, "metadata": {"x": "1", "y": "2"}, "items": {"object": "list", "data": [1]}, "same": {}});
        let after =
            json!({"a": 2, "metadata": {"x": "1", "z": "3"}, "items": {"object": "list", "data": [2]}, "same": {}});
        let expected = json!({"a": 1, "metadata": {"y": "2", "z": null}, "items": {"object": "list", "data": [1]}});
        assert_eq!(Value::Object(difference(&before, &after)), expected);
        assert!(difference(&after, &after).is_empty());
    }
}
