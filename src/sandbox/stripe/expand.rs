//! `expand[]`: ids in an answer replaced by what they stand for, and lists that are left out otherwise.
//! <https://docs.stripe.com/api/expanding_objects>

use serde_json::Value;

use super::error::{Fault, Refusal};
use super::invoice::Invoice;
use super::list;
use super::refunds;
use super::subscription::Subscription;
use super::world::{Object, World};

/// All that can be expanded in any answer.
const NAMES: &[&str] = &[
    "charge",
    "customer",
    "default_payment_method",
    "default_price",
    "invoice",
    "latest_charge",
    "latest_invoice",
    "line_items",
    "payment",
    "payment_intent",
    "payments",
    "pending_setup_intent",
    "product",
    "refunds",
    "setup_intent",
    "subscription",
    "subscriptions",
];
/// What lies on the way to something that can be.
const STEPS: &[&str] = &["data", "items", "lines", "price", "parent", "subscription_details"];
/// Stripe's own limit.
const DEEPEST: usize = 4;

/// What a request wants expanded. Checked before anything is done, so that a wrong name changes nothing.
pub(super) fn read(asked: &Value) -> Result<Vec<String>, Refusal> {
    let Some(wanted) = asked.get("expand") else { return Ok(Vec::new()) };
    let wrong = || Fault::invalid("Invalid array").param("expand");
    let paths: Option<Vec<String>> =
        wanted.as_array().ok_or_else(wrong)?.iter().map(|path| path.as_str().map(str::to_owned)).collect();
    let paths = paths.ok_or_else(wrong)?;
    for path in &paths {
        let mut steps = path.split('.').filter(|step| *step != "data");
        if steps.clone().count() > DEEPEST {
            return Err(Fault::invalid(format!(
                "You cannot expand more than {DEEPEST} levels of a property ({path})."
            )));
        }
        let last = path.rsplit('.').next().unwrap_or_default();
        if !NAMES.contains(&last) || !steps.all(|step| NAMES.contains(&step) || STEPS.contains(&step)) {
            return Err(Fault::invalid(format!("This property cannot be expanded ({path}).")).param("expand"));
        }
    }
    Ok(paths)
}

pub(super) fn apply(world: &World, value: &mut Value, paths: &[String]) {
    for path in paths {
        let steps: Vec<&str> = path.split('.').collect();
        walk(world, value, &steps);
    }
}

fn walk(world: &World, value: &mut Value, steps: &[&str]) {
    let Some((name, rest)) = steps.split_first() else { return };
    if let Value::Array(items) = value {
        for item in items {
            walk(world, item, steps);
        }
        return;
    }
    let left_out = left_out(world, value, name);
    let Some(map) = value.as_object_mut() else { return };
    if let Some(list) = left_out {
        map.insert((*name).to_owned(), list);
    }
    let Some(below) = map.get_mut(*name) else { return };
    if let Some(object) = below.as_str().and_then(|id| world.any(id)) {
        *below = object;
    }
    // The members of a list are reached by `data`.
    match below {
        Value::Array(items) => items.iter_mut().for_each(|item| walk(world, item, rest)),
        below => walk(world, below, rest),
    }
}

/// A list that belongs to an object and is shown only when it is asked for.
fn left_out(world: &World, value: &Value, name: &str) -> Option<Value> {
    let id = value["id"].as_str()?;
    match (value["object"].as_str()?, name) {
        ("customer", "subscriptions") => {
            let theirs = world.subscriptions.iter().rev().filter(|it| it.customer == id && !it.status.is_over());
            let url = format!("/v1/customers/{id}/subscriptions");
            Some(list::whole(&url, &theirs.map(Subscription::view).collect::<Vec<_>>()))
        }
        ("charge", "refunds") => Some(refunds::of_charge(world, id)),
        ("invoice", "payments") => {
            let payment = world.invoices.get(id).and_then(Invoice::payment);
            Some(list::whole("/v1/invoice_payments", payment.as_slice()))
        }
        ("checkout.session", "line_items") => world.sessions.get(id).map(super::checkout::Session::lines),
        _ => None,
    }
}
