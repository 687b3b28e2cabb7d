//! Checkout sessions: a subscription offered to somebody, at a page of its own.

use serde_json::{Map, Value, json};

use super::agenda::Due;
use super::catalog::{self, Price};
use super::customers;
use super::error::{Fault, Refusal};
use super::form::Form;
use super::ids;
use super::list;
use super::shape;
use super::world::{Object, World, object};

const DAY: i64 = 24 * 60 * 60;
/// In success URLs: <https://docs.stripe.com/payments/checkout/custom-success-page>
const PLACEHOLDER: &str = "{CHECKOUT_SESSION_ID}";
const WITHOUT_CARD: &[&str] = &["cancel", "create_invoice", "pause"];

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) expires_at: i64,
    pub(super) status: Status,
    pub(super) payment: Payment,
    pub(super) customer: Option<String>,
    pub(super) email: Option<String>,
    pub(super) client_reference_id: Option<String>,
    pub(super) success_url: String,
    pub(super) cancel_url: Option<String>,
    pub(super) locale: Option<String>,
    pub(super) metadata: Map<String, Value>,
    pub(super) line: String,
    pub(super) price: Price,
    pub(super) quantity: i64,
    pub(super) subscription_metadata: Map<String, Value>,
    pub(super) trial_days: i64,
    pub(super) without_card: String,
    /// No card is asked for when nothing is due today.
    pub(super) is_card_optional: bool,
    pub(super) subscription: Option<String>,
    pub(super) invoice: Option<String>,
    /// A delayed payment is on its way, and whether it will come.
    pub(super) arriving: Option<bool>,
    pub(super) page: String,
}

object!(Session, "checkout.session", sessions);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Open,
    Complete,
    Expired,
}

impl Status {
    const WORDS: [&str; 3] = ["open", "complete", "expired"];

    fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payment {
    Unpaid,
    Paid,
    NotRequired,
}

impl Session {
    pub(super) fn amount(&self) -> i64 {
        self.price.amount.saturating_mul(self.quantity)
    }

    /// What is to be paid on the day.
    pub(super) fn due_today(&self) -> i64 {
        if self.trial_days > 0 { 0 } else { self.amount() }
    }

    /// Where the browser goes after success.
    pub(super) fn success(&self) -> String {
        self.success_url.replace(PLACEHOLDER, &self.id)
    }

    fn show(&self) -> Value {
        let payment = match self.payment {
            Payment::Unpaid => "unpaid",
            Payment::Paid => "paid",
            Payment::NotRequired => "no_payment_required",
        };
        let total = self.due_today();
        let is_complete = self.status == Status::Complete;
        shape::complete(
            &shape::CHECKOUT_SESSION,
            json!({
                "id": self.id,
                "amount_subtotal": total,
                "amount_total": total,
                "cancel_url": self.cancel_url,
                "client_reference_id": self.client_reference_id,
                "created": self.created,
                "currency": self.price.currency,
                "customer": self.customer,
                "customer_details": is_complete.then(|| json!({
                    "address": null, "business_name": null, "email": self.email, "individual_name": null, "name": null,
                    "phone": null, "tax_exempt": "none", "tax_ids": [],
                })),
                "customer_email": self.email,
                "expires_at": self.expires_at,
                "invoice": self.invoice,
                "locale": self.locale,
                "metadata": self.metadata,
                "payment_method_collection": if self.is_card_optional { "if_required" } else { "always" },
                "payment_status": payment,
                "status": self.status.word(),
                "subscription": self.subscription,
                "success_url": self.success_url,
                "url": (self.status == Status::Open).then_some(self.page.as_str()),
            }),
        )
    }

    pub(super) fn lines(&self) -> Value {
        let line = json!({
            "id": self.line,
            "object": "item",
            "adjustable_quantity": null,
            "amount_discount": 0,
            "amount_subtotal": self.amount(),
            "amount_tax": 0,
            "amount_total": self.amount(),
            "currency": self.price.currency,
            "description": self.price.name,
            "metadata": {},
            "price": self.price.show(),
            "quantity": self.quantity,
        });
        list::whole(&format!("/v1/checkout/sessions/{}/line_items", self.id), &[line])
    }
}

const KNOWN: &[&str] = &[
    "adaptive_pricing",
    "after_expiration",
    "allow_promotion_codes",
    "allowed_payment_method_types",
    "automatic_tax",
    "billing_address_collection",
    "branding_settings",
    "cancel_url",
    "client_reference_id",
    "consent_collection",
    "currency",
    "custom_fields",
    "custom_text",
    "customer",
    "customer_account",
    "customer_creation",
    "customer_email",
    "customer_update",
    "discounts",
    "excluded_payment_method_types",
    "expires_at",
    "integration_identifier",
    "invoice_creation",
    "line_items",
    "locale",
    "managed_payments",
    "metadata",
    "mode",
    "name_collection",
    "optional_items",
    "origin_context",
    "payment_intent_data",
    "payment_method_collection",
    "payment_method_configuration",
    "payment_method_data",
    "payment_method_options",
    "permissions",
    "phone_number_collection",
    "redirect_on_completion",
    "return_url",
    "saved_payment_method_options",
    "setup_intent_data",
    "shipping_address_collection",
    "shipping_options",
    "submit_type",
    "subscription_data",
    "success_url",
    "tax_id_collection",
    "ui_mode",
    "wallet_options",
];
const LINE: &[&str] = &["adjustable_quantity", "metadata", "price", "price_data", "quantity", "tax_rates"];
const SUBSCRIPTION: &[&str] = &[
    "application_fee_percent",
    "billing_cycle_anchor",
    "billing_cycle_anchor_config",
    "billing_mode",
    "default_tax_rates",
    "description",
    "invoice_settings",
    "metadata",
    "on_behalf_of",
    "pending_invoice_item_interval",
    "proration_behavior",
    "transfer_data",
    "trial_end",
    "trial_period_days",
    "trial_settings",
];

pub(super) fn create(world: &mut World, asked: &Value) -> Result<Value, Refusal> {
    let session = read(world, &Form::root(asked, KNOWN)?)?;
    let (id, expires, view) = (session.id.clone(), session.expires_at, session.view());
    // Stripe tells nobody of a session that is made.
    world.sessions.add(session);
    world.appoint(expires, Due::SessionExpires(id));
    Ok(view)
}

fn read(world: &World, form: &Form<'_>) -> Result<Session, Refusal> {
    let mode = form.word("mode", &["payment", "setup", "subscription"])?.ok_or_else(|| Fault::missing("mode"))?;
    if mode != "subscription" {
        return Err(Fault::invalid("The sandbox sells subscriptions only: mode=subscription").param("mode"));
    }
    let lines = form.members("line_items", LINE)?;
    let [line] = lines.as_slice() else {
        let wrong = if lines.is_empty() { Fault::missing("line_items") } else { one_line() };
        return Err(wrong);
    };
    let (now, id) = (world.now, ids::fresh("cs_test_"));
    let customer = form.text("customer")?;
    if let Some(customer) = &customer {
        customers::living(world, customer, "customer")?;
        if form.has("customer_email") {
            return Err(Fault::invalid("You may only specify one of these parameters: customer, customer_email."));
        }
    }
    let mut session = Session {
        created: now,
        expires_at: expiry(form, now)?,
        status: Status::Open,
        payment: Payment::Unpaid,
        customer,
        email: form.text("customer_email")?,
        client_reference_id: form.text("client_reference_id")?,
        success_url: url(form, "success_url")?.ok_or_else(|| Fault::missing("success_url"))?,
        cancel_url: url(form, "cancel_url")?,
        locale: form.text("locale")?,
        metadata: Map::new(),
        line: ids::fresh("li_"),
        price: catalog::of_line(world, line)?,
        quantity: line
            .integer("quantity")?
            .filter(|quantity| *quantity > 0)
            .ok_or_else(|| Fault::missing(&line.name("quantity")))?,
        subscription_metadata: Map::new(),
        trial_days: world.habits.trial_days,
        without_card: "create_invoice".to_owned(),
        is_card_optional: form.text("payment_method_collection")?.as_deref() == Some("if_required"),
        subscription: None,
        invoice: None,
        arriving: None,
        page: format!("{}/c/pay/{id}", world.habits.base_url),
        id,
    };
    form.metadata(&mut session.metadata)?;
    if let Some(data) = form.below("subscription_data", SUBSCRIPTION)? {
        data.metadata(&mut session.subscription_metadata)?;
        session.trial_days = data.integer("trial_period_days")?.unwrap_or(session.trial_days);
        if let Some(word) = without_card(&data)? {
            session.without_card = word;
        }
    }
    Ok(session)
}

fn one_line() -> Refusal {
    Fault::invalid("The sandbox sells one price at a time").param("line_items")
}

/// `trial_settings[end_behavior][missing_payment_method]`.
pub(super) fn without_card(form: &Form<'_>) -> Result<Option<String>, Refusal> {
    let Some(settings) = form.below("trial_settings", &["end_behavior"])? else { return Ok(None) };
    let Some(behavior) = settings.below("end_behavior", &["missing_payment_method"])? else { return Ok(None) };
    behavior.word("missing_payment_method", WITHOUT_CARD)
}

fn expiry(form: &Form<'_>, now: i64) -> Result<i64, Refusal> {
    let Some(at) = form.integer("expires_at")? else { return Ok(now + DAY) };
    if (now + 30 * 60..=now + DAY).contains(&at) {
        return Ok(at);
    }
    let wrong = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.";
    Err(Fault::invalid(wrong).param("expires_at"))
}

/// An address that a browser, or an app, may be sent to.
pub(super) fn url(form: &Form<'_>, name: &str) -> Result<Option<String>, Refusal> {
    let Some(text) = form.text(name)? else { return Ok(None) };
    let is_good = url::Url::parse(&text).is_ok_and(|url| !matches!(url.scheme(), "javascript" | "data" | "vbscript"));
    if is_good { Ok(Some(text)) } else { Err(Fault::invalid("Not a valid URL").code("url_invalid").param(name)) }
}

pub(super) fn retrieve(world: &World, id: &str) -> Result<Value, Refusal> {
    world.find::<Session>(id).map(Object::view)
}

pub(super) fn lines(world: &World, id: &str) -> Result<Value, Refusal> {
    world.find::<Session>(id).map(Session::lines)
}

pub(super) fn list(world: &World, asked: &Value) -> Result<Value, Refusal> {
    const OWN: &[&str] = &[
        "created",
        "customer",
        "customer_account",
        "customer_details",
        "payment_intent",
        "payment_link",
        "status",
        "subscription",
    ];
    let form = Form::root(asked, &list::with(OWN))?;
    let (customer, subscription) = (form.text("customer")?, form.text("subscription")?);
    let status = form.word("status", &Status::WORDS)?;
    list::of(world, &form, "/v1/checkout/sessions", |session: &Session| {
        (customer.is_none() || session.customer == customer)
            && (subscription.is_none() || session.subscription == subscription)
            && status.as_ref().is_none_or(|status| session.status.word() == status)
    })
}

pub(super) fn update(world: &mut World, id: &str, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &["collected_information", "metadata", "shipping_options"])?;
    let mut metadata = world.find::<Session>(id)?.metadata.clone();
    form.metadata(&mut metadata)?;
    world.set::<Session>(id, |session| session.metadata = metadata);
    retrieve(world, id)
}

pub(super) fn expire(world: &mut World, id: &str, asked: &Value) -> Result<Value, Refusal> {
    Form::root(asked, &[])?;
    let status = world.find::<Session>(id)?.status;
    if status != Status::Open {
        return Err(Fault::conflict(format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of {}.",
            status.word()
        )));
    }
    expire_now(world, id);
    retrieve(world, id)
}

/// Ends one that is still open.
pub(super) fn expire_now(world: &mut World, id: &str) {
    if world.sessions.get(id).is_some_and(|session| session.status == Status::Open) {
        world.set::<Session>(id, |session| session.status = Status::Expired);
        world.announce::<Session>(id, "checkout.session.expired");
    }
}
