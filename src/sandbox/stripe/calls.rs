//! The API's calls: which address does what.

use axum::http::Method;
use serde_json::{Value, json};

use super::error::{Fault, Refusal};
use super::form::Form;
use super::world::World;
use super::{
    catalog, checkout, customers, disputes, endpoints, events, invoices, payment, portal, refunds, subscriptions,
};

/// Executes one call. `path` begins behind `/v1/`.
pub(super) fn execute(world: &mut World, method: &Method, path: &str, asked: &Value) -> Result<Value, Refusal> {
    let steps: Vec<&str> = path.split('/').collect();
    match method.as_str() {
        "GET" => read(world, &steps, asked),
        "POST" => write(world, &steps, asked),
        "DELETE" => remove(world, &steps, asked),
        _ => None,
    }
    .unwrap_or_else(|| Err(nowhere(method, path)))
}

fn nowhere(method: &Method, path: &str) -> Refusal {
    let message = format!(
        "Unrecognized request URL ({method}: /v1/{path}). Please see https://stripe.com/docs or we can help at \
         https://support.stripe.com/."
    );
    let mut fault = Fault::of(404).with_message(message);
    fault.is_early = true;
    Box::new(fault)
}

type Answer = Option<Result<Value, Refusal>>;

fn read(world: &World, steps: &[&str], asked: &Value) -> Answer {
    let list = match *steps {
        ["customers"] => customers::list(world, asked),
        ["checkout", "sessions"] => checkout::list(world, asked),
        ["subscriptions"] => subscriptions::list(world, asked),
        ["prices"] => catalog::prices(world, asked),
        ["products"] => catalog::products(world, asked),
        ["invoices"] => invoices::list(world, asked),
        ["invoice_payments"] => invoices::payments(world, asked),
        ["payment_intents"] => payment::intents(world, asked),
        ["charges"] => payment::charges(world, asked),
        ["refunds"] => refunds::list(world, asked),
        ["disputes"] => disputes::list(world, asked),
        ["events"] => events::list(world, asked),
        ["webhook_endpoints"] => endpoints::list(world, asked),
        _ => return one(world, steps, asked),
    };
    Some(list)
}

fn one(world: &World, steps: &[&str], asked: &Value) -> Answer {
    let found = match *steps {
        ["account"] => Ok(account(world)),
        ["customers", id] => customers::retrieve(world, id),
        ["checkout", "sessions", id] => checkout::retrieve(world, id),
        ["checkout", "sessions", id, "line_items"] => checkout::lines(world, id),
        ["subscriptions", id] => subscriptions::retrieve(world, id),
        ["prices", id] => catalog::price(world, id),
        ["products", id] => catalog::product(world, id),
        ["invoices", id] => invoices::retrieve(world, id),
        ["invoice_payments", id] => invoices::payment(world, id),
        ["payment_intents", id] => payment::intent(world, id),
        ["charges", id] => payment::charge(world, id),
        ["refunds", id] => refunds::retrieve(world, id),
        ["disputes", id] => disputes::retrieve(world, id),
        ["events", id] => events::retrieve(world, id),
        ["webhook_endpoints", id] => endpoints::retrieve(world, id),
        _ => return None,
    };
    // Nothing is asked of one object but its expansions.
    Some(Form::root(asked, &[]).and(found))
}

fn write(world: &mut World, steps: &[&str], asked: &Value) -> Answer {
    Some(match *steps {
        ["customers"] => customers::create(world, asked),
        ["customers", id] => customers::update(world, id, asked),
        ["checkout", "sessions"] => checkout::create(world, asked),
        ["checkout", "sessions", id] => checkout::update(world, id, asked),
        ["checkout", "sessions", id, "expire"] => checkout::expire(world, id, asked),
        ["billing_portal", "sessions"] => portal::create(world, asked),
        ["subscriptions"] => subscriptions::create(world, asked),
        ["subscriptions", id] => subscriptions::update(world, id, asked),
        ["subscriptions", id, "resume"] => subscriptions::resume(world, id, asked),
        ["invoices", id, "pay"] => invoices::pay(world, id, asked),
        ["invoices", id, "void"] => invoices::void(world, id, asked),
        ["refunds"] => refunds::create(world, asked),
        ["webhook_endpoints"] => endpoints::create(world, asked),
        ["webhook_endpoints", id] => endpoints::update(world, id, asked),
        _ => return None,
    })
}

fn remove(world: &mut World, steps: &[&str], asked: &Value) -> Answer {
    Some(match *steps {
        ["customers", id] => customers::delete(world, id, asked),
        ["subscriptions", id] => subscriptions::cancel(world, id, asked),
        ["webhook_endpoints", id] => endpoints::delete(world, id, asked),
        _ => return None,
    })
}

fn account(world: &World) -> Value {
    json!({
        "id": "acct_sandbox",
        "object": "account",
        "business_profile": {"mcc": null, "name": "Sandbox", "support_email": null, "support_phone": null, "url": null},
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": true,
        "country": "IN",
        "created": world.began,
        "default_currency": world.prices.first().map(|price| price.currency.as_str()),
        "details_submitted": true,
        "email": "sandbox@example.com",
        "metadata": {},
        "payouts_enabled": true,
        "settings": {
            "branding": {"icon": null, "logo": null, "primary_color": null, "secondary_color": null},
            "card_payments": {"statement_descriptor_prefix": null},
            "dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"},
            "payments": {"statement_descriptor": "SANDBOX"},
        },
        "type": "standard",
    })
}
