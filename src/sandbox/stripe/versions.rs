//! API versions: the pinned one, and the shapes of those before 2025-03-31 (basil), which moved a subscription's period
//! to its items and an invoice's subscription into `parent`.
//! <https://docs.stripe.com/changelog/basil#2025-03-31.basil>

use serde_json::{Map, Value, json};

use super::error::{Fault, Refusal};
use super::invoice::Invoice;
use super::world::World;

pub(super) const PINNED: &str = "2026-10-28.endive";
const BASIL: &str = "2025-03-31";

/// `2024-06-20`, `2026-10-28.endive`.
pub(super) fn check(version: &str) -> Result<(), Refusal> {
    let date = version.split('.').next().unwrap_or_default().as_bytes();
    let is_date = date.len() == 10
        && date
            .iter()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() });
    if is_date { Ok(()) } else { Err(Fault::invalid(format!("Invalid Stripe API version: {version}"))) }
}

pub(super) fn is_older(version: &str) -> bool {
    version.get(..BASIL.len()).is_some_and(|date| date < BASIL)
}

/// Puts an event into a version's shape.
pub(super) fn event(world: &World, event: &mut Value, version: &str) {
    event["api_version"] = version.into();
    if !is_older(version) {
        return;
    }
    let previous = event.pointer("/data/previous_attributes/items").map(period);
    older(world, &mut event["data"]["object"]);
    if let (Some(previous), Some(before)) = (previous, event.pointer_mut("/data/previous_attributes")) {
        for (name, value) in previous {
            before[name] = value;
        }
    }
}

/// Puts everything in an answer into the older shape.
pub(super) fn older(world: &World, value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| older(world, item)),
        Value::Object(map) => {
            map.values_mut().for_each(|below| older(world, below));
            let id = map.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            match map.get("object").and_then(Value::as_str) {
                Some("subscription") => subscription(map),
                Some("invoice") => invoice(map, world.invoices.get(&id), world),
                Some("charge") => set_invoice(map, world.charges.get(&id).map(|charge| &charge.invoice)),
                Some("payment_intent") => set_invoice(map, world.intents.get(&id).map(|intent| &intent.invoice)),
                _ => {}
            }
        }
        _ => {}
    }
}

fn subscription(map: &mut Map<String, Value>) {
    let Some(items) = map.get_mut("items") else { return };
    let found = period(items);
    if let Some(items) = items["data"].as_array_mut() {
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.remove("current_period_start");
            item.remove("current_period_end");
        }
    }
    map.extend(found.into_iter().map(|(name, value)| (name.to_owned(), value)));
}

/// Of the first item.
fn period(items: &Value) -> Vec<(&'static str, Value)> {
    ["current_period_start", "current_period_end"].map(|name| (name, items["data"][0][name].clone())).into()
}

fn invoice(map: &mut Map<String, Value>, invoice: Option<&Invoice>, world: &World) {
    map.remove("parent");
    let Some(invoice) = invoice else { return };
    let charge = invoice.intent.as_ref().and_then(|id| world.intents.get(id)).and_then(|intent| intent.charge.clone());
    map.insert("subscription".to_owned(), invoice.subscription.as_str().into());
    map.insert("subscription_details".to_owned(), json!({"metadata": invoice.metadata}));
    map.insert("payment_intent".to_owned(), json!(invoice.intent));
    map.insert("charge".to_owned(), json!(charge));
    map.insert("paid".to_owned(), (invoice.paid_at.is_some()).into());
}

fn set_invoice(map: &mut Map<String, Value>, invoice: Option<&String>) {
    map.insert("invoice".to_owned(), json!(invoice.filter(|invoice| !invoice.is_empty())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_dates_with_a_name_or_without() {
        for good in ["2024-06-20", PINNED, "2025-03-31.basil"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "latest", "2024-6-20", "20240620", "2026-10-28x"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(is_older("2024-06-20") && !is_older("2025-03-31.basil") && !is_older(PINNED));
    }
}
