//! What we read of Stripe's objects, in the places of old and new API versions.

use serde_json::Value;

use crate::clock::Moment;

/// A subscription as it stands at Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub id: String,
    pub customer: String,
    /// Stripe's word: `active`, `past_due` and so on, and words to come.
    pub status: String,
    pub price: Option<String>,
    /// What a period costs, in the currency's smallest unit.
    pub amount: Option<i64>,
    pub currency: Option<String>,
    pub current_period_start: Option<Moment>,
    pub current_period_end: Option<Moment>,
    /// It ends by itself: at the period's end, or at another moment that was set.
    pub cancels: bool,
    pub created: Moment,
    pub latest_invoice: Option<String>,
    /// What our checkout wrote into it: whose it is.
    pub user_id: Option<String>,
}

/// A checkout session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    pub id: String,
    /// `open`, `complete`, `expired`.
    pub status: String,
    /// Where the person pays; none once it is over.
    pub url: Option<String>,
    pub customer: Option<String>,
    pub expires_at: Option<Moment>,
}

/// Something that happened. It only says: look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: String,
    /// Stripe's `type`.
    pub kind: String,
    pub created: Moment,
    pub livemode: bool,
    pub api_version: Option<String>,
    /// The id of the object it is about.
    pub object: Option<String>,
    pub customer: Option<String>,
    /// Of a dispute: the charge.
    pub charge: Option<String>,
}

/// A payment that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub id: String,
    pub customer: Option<String>,
    pub payment_intent: Option<String>,
    pub amount: i64,
    pub amount_refunded: i64,
    pub currency: String,
    pub is_disputed: bool,
    /// Only older versions tell.
    pub invoice: Option<String>,
}

/// A payment that somebody's bank takes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dispute {
    pub id: String,
    pub charge: Option<String>,
}

/// What something costs, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub amount: i64,
    pub currency: String,
    /// `month`, `year`, ...
    pub interval: String,
    pub interval_count: i64,
}

/// A part of a list, and whether there is more behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page<T> {
    pub data: Vec<T>,
    pub has_more: bool,
}

impl<T> Page<T> {
    pub(super) fn of(list: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Self> {
        // What cannot be read must not pass for what is not there.
        let data = list["data"].as_array()?.iter().map(read).collect::<Option<_>>()?;
        Some(Self { data, has_more: list["has_more"] == true })
    }
}

impl Subscription {
    pub(super) fn of(object: &Value) -> Option<Self> {
        let items = object["items"]["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        let price = items.first().map_or(&Value::Null, |item| &item["price"]);
        // Since 2025-03-31 the period is each item's; before, the subscription's.
        let period = |name: &str| {
            let of_items = items.iter().filter_map(|item| moment(&item[name])).max();
            of_items.or_else(|| moment(&object[name]))
        };
        Some(Self {
            id: text(&object["id"])?,
            customer: id(&object["customer"])?,
            status: text(&object["status"])?,
            price: id(price),
            amount: price["unit_amount"].as_i64(),
            currency: text(&price["currency"]).or_else(|| text(&object["currency"])),
            current_period_start: period("current_period_start"),
            current_period_end: period("current_period_end"),
            cancels: object["cancel_at_period_end"] == true || !object["cancel_at"].is_null(),
            created: moment(&object["created"])?,
            latest_invoice: id(&object["latest_invoice"]),
            user_id: text(&object["metadata"]["user_id"]),
        })
    }
}

impl Checkout {
    pub(super) fn of(object: &Value) -> Option<Self> {
        Some(Self {
            id: text(&object["id"])?,
            status: text(&object["status"])?,
            url: text(&object["url"]),
            customer: id(&object["customer"]),
            expires_at: moment(&object["expires_at"]),
        })
    }
}

impl Event {
    /// None when it is no event.
    #[must_use]
    pub fn of(event: &Value) -> Option<Self> {
        let object = &event["data"]["object"];
        let customer = if object["object"] == "customer" { &object["id"] } else { &object["customer"] };
        Some(Self {
            id: short(text(&event["id"]))?,
            kind: short(text(&event["type"]))?,
            created: moment(&event["created"])?,
            livemode: event["livemode"] == true,
            api_version: short(text(&event["api_version"])),
            object: short(text(&object["id"])),
            customer: short(id(customer)),
            charge: short(id(&object["charge"])),
        })
    }
}

/// Only what may be a word of Stripe's, whose ids have 255 characters at most: PostgreSQL keeps no NUL, and no long key.
fn short(word: Option<String>) -> Option<String> {
    word.filter(|word| word.len() <= 255 && !word.contains('\0'))
}

impl Charge {
    pub(super) fn of(object: &Value) -> Option<Self> {
        Some(Self {
            id: text(&object["id"])?,
            customer: id(&object["customer"]),
            payment_intent: id(&object["payment_intent"]),
            amount: object["amount"].as_i64()?,
            amount_refunded: object["amount_refunded"].as_i64().unwrap_or(0),
            currency: text(&object["currency"])?,
            is_disputed: object["disputed"] == true,
            invoice: id(&object["invoice"]),
        })
    }
}

impl Dispute {
    pub(super) fn of(object: &Value) -> Option<Self> {
        Some(Self { id: text(&object["id"])?, charge: id(&object["charge"]) })
    }
}

impl Price {
    pub(super) fn of(object: &Value) -> Option<Self> {
        Some(Self {
            amount: object["unit_amount"].as_i64()?,
            currency: text(&object["currency"])?,
            interval: text(&object["recurring"]["interval"])?,
            interval_count: object["recurring"]["interval_count"].as_i64().unwrap_or(1),
        })
    }
}

pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The id of what stands there, as an id or as the whole object.
pub(super) fn id(value: &Value) -> Option<String> {
    text(value).or_else(|| text(&value["id"]))
}

pub(super) fn moment(value: &Value) -> Option<Moment> {
    let seconds = value.as_i64()?;
    let at = Moment::from_millis(seconds.saturating_mul(1000));
    (Moment::from_millis(0)..=Moment::LAST).contains(&at).then_some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_period_is_read_from_the_items_and_from_its_older_place() {
        let new = json!({"id": "sub_1", "customer": "cus_1", "status": "active", "created": 5, "items": {"data": [
            {"current_period_start": 10, "current_period_end": 20, "price": {"id": "price_1", "unit_amount": 900, "currency": "inr"}},
        ]}});
        let old = json!({"id": "sub_1", "customer": {"id": "cus_1", "object": "customer"}, "status": "active", "created": 5,
            "current_period_start": 10, "current_period_end": 20,
            "items": {"data": [{"price": {"id": "price_1", "unit_amount": 900, "currency": "inr"}}]}});
        let read = Subscription::of(&new).expect("a subscription");
        assert_eq!(read.current_period_end, Some(Moment::from_millis(20_000)));
        assert_eq!(
            (read.price.as_deref(), read.amount, read.currency.as_deref()),
            (Some("price_1"), Some(900), Some("inr"))
        );
        assert_eq!(Subscription::of(&old), Some(read));
    }

    #[test]
    fn an_end_that_was_set_is_a_cancellation_however_it_is_spelt() {
        let base = json!({"id": "sub_1", "customer": "cus_1", "status": "a word to come", "created": 5});
        let cancels = |name: &str, value: Value| {
            let mut object = base.clone();
            object[name] = value;
            Subscription::of(&object).expect("a subscription").cancels
        };
        assert!(cancels("cancel_at_period_end", json!(true)) && cancels("cancel_at", json!(50)));
        assert!(!cancels("cancel_at_period_end", json!(false)) && !cancels("cancel_at", Value::Null));
    }

    proptest! {
        #[test]
        fn no_object_breaks_the_reading(text in any::<String>(), number in any::<i64>()) {
            for member in ["id", "type", "created", "customer", "items", "data", "status", "livemode", "metadata"] {
                for value in [json!(text), json!(number), json!([number]), json!({"id": text}), Value::Null] {
                    let object = json!({"id": "x", "type": "y", "created": 1, "status": "z", "customer": "c", (member): value});
                    let _ = (Subscription::of(&object), Event::of(&object), Checkout::of(&object), Charge::of(&object));
                }
            }
        }
    }
}
