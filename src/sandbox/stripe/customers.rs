//! Customers, and the one card that each of them may have.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::{Fault, Refusal};
use super::form::Form;
use super::ids;
use super::list;
use super::shape;
use super::world::{Object, World, object};

#[derive(Clone, Debug)]
pub(super) struct Customer {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) email: Option<String>,
    pub(super) name: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) description: Option<String>,
    pub(super) metadata: Map<String, Value>,
    pub(super) card: Card,
    /// A payment was missed, and not made good since.
    pub(super) is_delinquent: bool,
    /// How many invoices were numbered.
    pub(super) invoices: u32,
    pub(super) is_deleted: bool,
}

/// What a charge of this customer meets.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Card {
    /// No payment method at all.
    #[default]
    None,
    Good,
    Declining,
}

object!(Customer, "customer", customers);

const KNOWN: &[&str] = &[
    "address",
    "balance",
    "business_name",
    "cash_balance",
    "default_source",
    "description",
    "email",
    "individual_name",
    "invoice_prefix",
    "invoice_settings",
    "metadata",
    "name",
    "next_invoice_sequence",
    "payment_method",
    "phone",
    "preferred_locales",
    "shipping",
    "source",
    "tax",
    "tax_exempt",
    "tax_id_data",
    "test_clock",
    "validate",
];

impl Customer {
    pub(super) fn new(now: i64) -> Self {
        Self {
            id: ids::fresh("cus_"),
            created: now,
            email: None,
            name: None,
            phone: None,
            description: None,
            metadata: Map::new(),
            card: Card::None,
            is_delinquent: false,
            invoices: 0,
            is_deleted: false,
        }
    }

    fn apply(&mut self, form: &Form<'_>) -> Result<(), Refusal> {
        for (name, place) in [
            ("email", &mut self.email),
            ("name", &mut self.name),
            ("phone", &mut self.phone),
            ("description", &mut self.description),
        ] {
            if form.has(name) {
                *place = form.text(name)?;
            }
        }
        // Stripe's own ids for cards in tests: https://docs.stripe.com/testing
        if let Some(method) = form.text("payment_method")?.or(form.text("source")?) {
            self.card =
                if method.contains("Declined") || method.contains("Fail") { Card::Declining } else { Card::Good };
        }
        form.metadata(&mut self.metadata)
    }

    /// The id that a payment method of this customer's would have.
    pub(super) fn method(&self) -> Option<String> {
        (self.card != Card::None).then(|| self.id.replacen("cus_", "pm_", 1))
    }

    fn show(&self) -> Value {
        if self.is_deleted {
            return json!({"id": self.id, "object": "customer", "deleted": true});
        }
        shape::complete(
            &shape::CUSTOMER,
            json!({
                "id": self.id,
                "created": self.created,
                "delinquent": self.is_delinquent,
                "description": self.description,
                "email": self.email,
                "invoice_prefix": invoice_prefix(&self.id),
                "invoice_settings": {
                    "custom_fields": null,
                    "default_payment_method": self.method(),
                    "footer": null,
                    "rendering_options": null,
                },
                "metadata": self.metadata,
                "name": self.name,
                "next_invoice_sequence": self.invoices + 1,
                "phone": self.phone,
            }),
        )
    }
}

/// What the numbers of a customer's invoices begin with.
pub(super) fn invoice_prefix(customer: &str) -> String {
    customer.chars().rev().take(8).collect::<String>().to_uppercase()
}

pub(super) fn create(world: &mut World, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, KNOWN)?;
    let mut customer = Customer::new(world.now);
    customer.apply(&form)?;
    let view = customer.view();
    world.add(customer, "customer.created");
    Ok(view)
}

pub(super) fn retrieve(world: &World, id: &str) -> Result<Value, Refusal> {
    world.find::<Customer>(id).map(Object::view)
}

/// One that is still there.
pub(super) fn living<'a>(world: &'a World, id: &str, param: &str) -> Result<&'a Customer, Refusal> {
    let customer = world.named::<Customer>(id, param)?;
    if customer.is_deleted { Err(Fault::no_such("customer", id, param)) } else { Ok(customer) }
}

pub(super) fn update(world: &mut World, id: &str, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, KNOWN)?;
    let mut changed = world.find::<Customer>(id)?.clone();
    if changed.is_deleted {
        return Err(Fault::gone("customer", id));
    }
    changed.apply(&form)?;
    let view = changed.view();
    world.change(id, "customer.updated", |customer| *customer = changed);
    Ok(view)
}

/// Ends the customer's subscriptions too, at once.
pub(super) fn delete(world: &mut World, id: &str, asked: &Value) -> Result<Value, Refusal> {
    Form::root(asked, &[])?;
    if world.find::<Customer>(id)?.is_deleted {
        return Err(Fault::gone("customer", id));
    }
    let of_this = |subscription: &&super::subscription::Subscription| subscription.customer == id;
    let theirs: Vec<String> =
        world.subscriptions.iter().filter(of_this).map(|subscription| subscription.id.clone()).collect();
    for subscription in theirs {
        world.cancel(&subscription, "cancellation_requested");
    }
    world.announce::<Customer>(id, "customer.deleted");
    world.set::<Customer>(id, |customer| customer.is_deleted = true);
    retrieve(world, id)
}

pub(super) fn list(world: &World, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &list::with(&["created", "email", "test_clock"]))?;
    let email = form.text("email")?;
    list::of(world, &form, "/v1/customers", |customer: &Customer| {
        !customer.is_deleted && (email.is_none() || customer.email == email)
    })
}
