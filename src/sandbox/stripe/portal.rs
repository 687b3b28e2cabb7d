//! Sessions of the billing portal: a page where customers look after their subscriptions themselves.

use serde_json::{Value, json};

use super::checkout;
use super::customers;
use super::error::Refusal;
use super::form::Form;
use super::ids;
use super::shelf::Kept;
use super::world::World;

#[derive(Clone, Debug)]
pub(super) struct Portal {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) customer: String,
    pub(super) return_url: Option<String>,
    locale: Option<String>,
}

impl Kept for Portal {
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

const KNOWN: &[&str] = &[
    "after_expiration",
    "configuration",
    "customer",
    "customer_account",
    "flow_data",
    "locale",
    "on_behalf_of",
    "return_url",
];

pub(super) fn create(world: &mut World, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, KNOWN)?;
    let customer = form.required("customer")?;
    customers::living(world, &customer, "customer")?;
    let portal = Portal {
        id: ids::fresh("bps_"),
        created: world.now,
        customer,
        return_url: checkout::url(&form, "return_url")?,
        locale: form.text("locale")?,
    };
    let view = json!({
        "id": portal.id,
        "object": "billing_portal.session",
        "after_expiration": null,
        "configuration": "bpc_sandbox",
        "created": portal.created,
        "customer": portal.customer,
        "customer_account": null,
        "flow": null,
        "livemode": false,
        "locale": portal.locale,
        "on_behalf_of": null,
        "return_url": portal.return_url,
        "url": format!("{}/p/session/{}", world.habits.base_url, portal.id),
    });
    world.portals.add(portal);
    Ok(view)
}
