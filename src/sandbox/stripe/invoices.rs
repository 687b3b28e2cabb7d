//! The calls about invoices and what paid them.

use serde_json::Value;

use super::error::{Fault, Refusal};
use super::form::Form;
use super::invoice::{Invoice, Status};
use super::list;
use super::world::{Object, World};

pub(super) fn retrieve(world: &World, id: &str) -> Result<Value, Refusal> {
    world.find::<Invoice>(id).map(Object::view)
}

pub(super) fn list(world: &World, asked: &Value) -> Result<Value, Refusal> {
    const OWN: &[&str] =
        &["collection_method", "created", "customer", "customer_account", "due_date", "status", "subscription"];
    let form = Form::root(asked, &list::with(OWN))?;
    let (customer, subscription) = (form.text("customer")?, form.text("subscription")?);
    let status = form.word("status", &Status::WORDS)?;
    list::of(world, &form, "/v1/invoices", |invoice: &Invoice| {
        customer.as_ref().is_none_or(|customer| invoice.customer == *customer)
            && subscription.as_ref().is_none_or(|subscription| invoice.subscription == *subscription)
            && status.as_ref().is_none_or(|status| invoice.status.word() == status)
    })
}

pub(super) fn pay(world: &mut World, id: &str, asked: &Value) -> Result<Value, Refusal> {
    const KNOWN: &[&str] = &["forgive", "mandate", "off_session", "paid_out_of_band", "payment_method", "source"];
    Form::root(asked, KNOWN)?;
    match world.find::<Invoice>(id)?.status {
        Status::Paid => return Err(Fault::conflict("Invoice is already paid").code("invoice_already_paid")),
        Status::Void => return Err(Fault::conflict("You can only pay an open invoice.").code("invoice_not_open")),
        Status::Draft => world.finalize(id),
        Status::Open | Status::Uncollectible => {}
    }
    if world.collect(id) { retrieve(world, id) } else { Err(Fault::declined()) }
}

pub(super) fn void(world: &mut World, id: &str, asked: &Value) -> Result<Value, Refusal> {
    Form::root(asked, &[])?;
    if !matches!(world.find::<Invoice>(id)?.status, Status::Open | Status::Uncollectible) {
        return Err(Fault::conflict("You can only void an open or uncollectible invoice.").code("invoice_not_open"));
    }
    world.void(id);
    retrieve(world, id)
}

/// What paid an invoice, or is to: `payment.payment_intent`.
pub(super) fn payments(world: &World, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &list::with(&["created", "invoice", "payment", "status"]))?;
    let (invoice, status) = (form.text("invoice")?, form.word("status", &["canceled", "open", "paid"])?);
    let intent = match form.below("payment", &["payment_intent", "payment_record", "type"])? {
        Some(payment) => payment.text("payment_intent")?,
        None => None,
    };
    let fits = |it: &&Invoice| {
        invoice.as_ref().is_none_or(|invoice| it.id == *invoice) && (intent.is_none() || it.intent == intent)
    };
    let mut views: Vec<Value> = world.invoices.iter().filter(fits).filter_map(Invoice::payment).collect();
    views.retain(|view| status.as_ref().is_none_or(|status| view["status"] == status.as_str()));
    list::of_views(&form, "/v1/invoice_payments", &views)
}

pub(super) fn payment(world: &World, id: &str) -> Result<Value, Refusal> {
    let invoice = world.invoices.get(&id.replacen("inpay_", "in_", 1));
    invoice.and_then(Invoice::payment).ok_or_else(|| Fault::gone("invoice_payment", id))
}
