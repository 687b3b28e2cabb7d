//! The calls about subscriptions.

use serde_json::{Map, Value};

use super::agenda::Due;
use super::catalog;
use super::checkout;
use super::customers::{self, Card};
use super::error::{Fault, Refusal};
use super::form::Form;
use super::lifecycle::{Begun, UPDATED};
use super::list::{self, Within};
use super::subscription::{Pause, Status, Subscription};
use super::world::{Object, World};

/// What both making and changing one take.
const SHARED: &[&str] = &[
    "add_invoice_items",
    "application_fee_percent",
    "automatic_tax",
    "billing_cycle_anchor",
    "billing_schedules",
    "billing_thresholds",
    "cancel_at",
    "cancel_at_period_end",
    "collection_method",
    "days_until_due",
    "default_payment_method",
    "default_source",
    "default_tax_rates",
    "description",
    "discounts",
    "invoice_settings",
    "items",
    "metadata",
    "off_session",
    "on_behalf_of",
    "payment_behavior",
    "payment_settings",
    "pending_invoice_item_interval",
    "proration_behavior",
    "transfer_data",
    "trial_end",
    "trial_from_plan",
    "trial_settings",
];
const CREATE: &[&str] = &[
    "backdate_start_date",
    "billing_cycle_anchor_config",
    "billing_mode",
    "currency",
    "customer",
    "customer_account",
    "trial_period_days",
];
const UPDATE: &[&str] = &["cancellation_details", "pause_collection", "proration_date"];
const ITEM: &[&str] = &[
    "billing_thresholds",
    "clear_usage",
    "current_trial",
    "deleted",
    "discounts",
    "id",
    "metadata",
    "price",
    "price_data",
    "quantity",
    "tax_rates",
];
const BEHAVIORS: &[&str] = &["allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"];

pub(super) fn create(world: &mut World, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &[SHARED, CREATE].concat())?;
    let customer = form.required("customer")?;
    let behavior = form.word("payment_behavior", BEHAVIORS)?;
    let items = form.members("items", ITEM)?;
    let item = items.first().ok_or_else(|| Fault::missing("items"))?;
    let mut metadata = Map::new();
    form.metadata(&mut metadata)?;
    let begun = Begun {
        price: catalog::of_line(world, item)?,
        quantity: item.integer("quantity")?.unwrap_or(1).max(1),
        trial_days: form.integer("trial_period_days")?.unwrap_or(world.habits.trial_days),
        without_card: checkout::without_card(&form)?.unwrap_or_else(|| "create_invoice".to_owned()),
        customer,
        metadata,
    };
    let card = customers::living(world, &begun.customer, "customer")?.card;
    let is_free = begun.trial_days > 0;
    let behavior = behavior.as_deref().unwrap_or("allow_incomplete");
    if !is_free && card == Card::None && behavior != "default_incomplete" {
        return Err(Fault::conflict(
            "This customer has no attached payment source or default payment method. Please consider adding a default \
             payment method.",
        )
        .code("resource_missing"));
    }
    if !is_free && card == Card::Declining && behavior == "error_if_incomplete" {
        return Err(Fault::declined());
    }
    let id = world.begin(begun);
    let first = world.find::<Subscription>(&id)?.latest_invoice.clone();
    if let Some(invoice) = first.filter(|_| !is_free && behavior != "default_incomplete") {
        world.collect(&invoice);
    }
    retrieve(world, &id)
}

pub(super) fn retrieve(world: &World, id: &str) -> Result<Value, Refusal> {
    world.find::<Subscription>(id).map(Object::view)
}

/// Those that have ended show up only with `status=all`, `ended` or their own.
pub(super) fn list(world: &World, asked: &Value) -> Result<Value, Refusal> {
    const OWN: &[&str] = &[
        "automatic_tax",
        "collection_method",
        "created",
        "current_period_end",
        "current_period_start",
        "customer",
        "customer_account",
        "plan",
        "price",
        "status",
        "test_clock",
    ];
    let form = Form::root(asked, &list::with(OWN))?;
    let known = [Status::WORDS.as_slice(), &["all", "ended"]].concat();
    let (customer, price, status) = (form.text("customer")?, form.text("price")?, form.word("status", &known)?);
    if let Some(customer) = &customer {
        world.named::<customers::Customer>(customer, "customer")?;
    }
    let (begun, over) = (Within::read(&form, "current_period_start")?, Within::read(&form, "current_period_end")?);
    list::of(world, &form, "/v1/subscriptions", |it: &Subscription| {
        customer.as_ref().is_none_or(|customer| it.customer == *customer)
            && price.as_ref().is_none_or(|price| it.price.id == *price)
            && begun.holds(it.period_start)
            && over.holds(it.period_end)
            && match status.as_deref() {
                None => it.status != Status::Canceled,
                Some("all") => true,
                Some("ended") => it.status.is_over(),
                Some(one) => it.status.word() == one,
            }
    })
}

pub(super) fn update(world: &mut World, id: &str, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &[SHARED, UPDATE].concat())?;
    let mut changed = world.find::<Subscription>(id)?.clone();
    form.metadata(&mut changed.metadata)?;
    let (at_end, at) = (form.boolean("cancel_at_period_end")?, form.integer("cancel_at")?);
    let pause = pause(&form)?;
    details(&form, &mut changed)?;
    let asks_more = at_end.is_some() || at.is_some() || pause.is_some();
    if changed.status.is_over() && asks_more {
        return Err(Fault::conflict("A canceled subscription can only update its cancellation_details and metadata."));
    }
    if let Some(cancels) = at_end {
        changed.cancel_at_period_end = cancels;
        changed.cancel_at = None;
    }
    if form.has("cancel_at") {
        (changed.cancel_at, changed.cancel_at_period_end) = (at, false);
    }
    if at_end.is_some() || form.has("cancel_at") {
        let cancels = changed.cancels_at().is_some();
        changed.canceled_at = cancels.then_some(changed.canceled_at.unwrap_or(world.now));
        changed.why_canceled = cancels.then_some("cancellation_requested");
    }
    if let Some(pause) = pause {
        changed.pause = pause;
    }
    let resumes = changed.pause.as_ref().and_then(|pause| pause.resumes_at);
    world.change::<Subscription>(id, UPDATED, |it| *it = changed);
    if let Some(at) = at {
        world.appoint(at, Due::Cancel(id.to_owned()));
    }
    if let Some(at) = resumes {
        world.appoint(at, Due::CollectionResumes(id.to_owned()));
    }
    retrieve(world, id)
}

/// None: not asked for; empty: payments go on.
fn pause(form: &Form<'_>) -> Result<Option<Option<Pause>>, Refusal> {
    if !form.has("pause_collection") {
        return Ok(None);
    }
    let Some(pause) = form.below("pause_collection", &["behavior", "resumes_at"])? else { return Ok(Some(None)) };
    let behavior = pause.word("behavior", &["keep_as_draft", "mark_uncollectible", "void"])?;
    let behavior = behavior.ok_or_else(|| Fault::missing("pause_collection[behavior]"))?;
    Ok(Some(Some(Pause { behavior, resumes_at: pause.integer("resumes_at")? })))
}

fn details(form: &Form<'_>, into: &mut Subscription) -> Result<(), Refusal> {
    if let Some(details) = form.below("cancellation_details", &["comment", "feedback"])? {
        into.comment = details.text("comment")?.or(into.comment.take());
        into.feedback = details.text("feedback")?.or(into.feedback.take());
    }
    Ok(())
}

pub(super) fn cancel(world: &mut World, id: &str, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &["cancellation_details", "invoice_now", "prorate"])?;
    form.boolean("invoice_now")?;
    form.boolean("prorate")?;
    let mut changed = world.find::<Subscription>(id)?.clone();
    if changed.status.is_over() {
        return Err(Fault::gone("subscription", id));
    }
    details(&form, &mut changed)?;
    world.set::<Subscription>(id, |it| *it = changed);
    world.cancel(id, "cancellation_requested");
    retrieve(world, id)
}

pub(super) fn resume(world: &mut World, id: &str, asked: &Value) -> Result<Value, Refusal> {
    const KNOWN: &[&str] = &["billing_cycle_anchor", "payment_behavior", "proration_behavior", "proration_date"];
    Form::root(asked, KNOWN)?;
    if world.find::<Subscription>(id)?.status != Status::Paused {
        return Err(Fault::conflict("Only subscriptions with the status `paused` can be resumed."));
    }
    world.resume(id);
    retrieve(world, id)
}
