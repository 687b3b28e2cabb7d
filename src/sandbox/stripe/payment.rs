//! Payments: the intent to collect an invoice, and each charge that was tried for it.

use serde_json::{Value, json};

use super::error::Refusal;
use super::form::Form;
use super::ids;
use super::list;
use super::shape;
use super::world::{Object, World, object};

#[derive(Clone, Debug)]
pub(super) struct Intent {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) customer: String,
    pub(super) invoice: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) status: IntentStatus,
    pub(super) charge: Option<String>,
    pub(super) canceled_at: Option<i64>,
}

object!(Intent, "payment_intent", intents);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntentStatus {
    /// Nothing was tried, or the last try was declined.
    Wanting,
    Processing,
    Succeeded,
    Canceled,
}

#[derive(Clone, Debug)]
pub(super) struct Charge {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) customer: String,
    pub(super) invoice: String,
    pub(super) intent: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) status: ChargeStatus,
    pub(super) refunded: i64,
    pub(super) is_disputed: bool,
    pub(super) means: Means,
}

object!(Charge, "charge", charges);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChargeStatus {
    Pending,
    Succeeded,
    Failed,
}

/// How it was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    Card,
    /// Takes its time.
    Debit,
}

impl Means {
    fn details(self, declines: bool) -> Value {
        match self {
            Self::Card => json!({"type": "card", "card": {
                "amount_authorized": null, "brand": "visa", "country": "US", "exp_month": 12, "exp_year": 2034,
                "funding": "credit", "last4": if declines { "0002" } else { "4242" }, "network": "visa", "wallet": null,
            }}),
            Self::Debit => json!({"type": "us_bank_account", "us_bank_account": {
                "account_holder_type": "individual", "account_type": "checking", "bank_name": "STRIPE TEST BANK",
                "last4": "6789", "routing_number": "110000000",
            }}),
        }
    }
}

impl Intent {
    fn show(&self) -> Value {
        let status = match self.status {
            IntentStatus::Wanting => "requires_payment_method",
            IntentStatus::Processing => "processing",
            IntentStatus::Succeeded => "succeeded",
            IntentStatus::Canceled => "canceled",
        };
        let was_declined = self.status == IntentStatus::Wanting && self.charge.is_some();
        shape::complete(
            &shape::PAYMENT_INTENT,
            json!({
                "id": self.id,
                "amount": self.amount,
                "amount_received": if self.status == IntentStatus::Succeeded { self.amount } else { 0 },
                "canceled_at": self.canceled_at,
                "cancellation_reason": self.canceled_at.map(|_| "void_invoice"),
                "client_secret": format!("{}_secret_sandbox", self.id),
                "created": self.created,
                "currency": self.currency,
                "customer": self.customer,
                "last_payment_error": was_declined.then(|| json!({
                    "type": "card_error", "code": "card_declined", "decline_code": "generic_decline",
                    "charge": self.charge, "message": "Your card was declined.",
                })),
                "latest_charge": self.charge,
                "status": status,
            }),
        )
    }
}

impl Charge {
    pub(super) fn of(intent: &Intent, means: Means, status: ChargeStatus, now: i64) -> Self {
        Self {
            id: ids::fresh("ch_"),
            created: now,
            customer: intent.customer.clone(),
            invoice: intent.invoice.clone(),
            intent: intent.id.clone(),
            amount: intent.amount,
            currency: intent.currency.clone(),
            status,
            refunded: 0,
            is_disputed: false,
            means,
        }
    }

    fn show(&self) -> Value {
        let (status, outcome) = match self.status {
            ChargeStatus::Pending => ("pending", None),
            ChargeStatus::Succeeded => ("succeeded", Some(("approved_by_network", "authorized", "Payment complete."))),
            ChargeStatus::Failed => (
                "failed",
                Some(("declined_by_network", "issuer_declined", "The bank did not return any further details.")),
            ),
        };
        let failed = self.status == ChargeStatus::Failed;
        let paid = self.status == ChargeStatus::Succeeded;
        shape::complete(
            &shape::CHARGE,
            json!({
                "id": self.id,
                "amount": self.amount,
                "amount_captured": if paid { self.amount } else { 0 },
                "amount_refunded": self.refunded,
                "balance_transaction": paid.then(|| self.id.replacen("ch_", "txn_", 1)),
                "captured": paid,
                "created": self.created,
                "currency": self.currency,
                "customer": self.customer,
                "disputed": self.is_disputed,
                "failure_code": failed.then_some("card_declined"),
                "failure_message": failed.then_some("Your card was declined."),
                "outcome": outcome.map(|(network, kind, message)| json!({
                    "network_status": network, "reason": failed.then_some("generic_decline"), "risk_level": "normal",
                    "seller_message": message, "type": kind,
                })),
                "paid": paid,
                "payment_intent": self.intent,
                "payment_method": self.customer.replacen("cus_", "pm_", 1),
                "payment_method_details": self.means.details(failed),
                "refunded": self.refunded >= self.amount,
                "status": status,
            }),
        )
    }
}

pub(super) fn intent(world: &World, id: &str) -> Result<Value, Refusal> {
    world.find::<Intent>(id).map(Object::view)
}

pub(super) fn charge(world: &World, id: &str) -> Result<Value, Refusal> {
    world.find::<Charge>(id).map(Object::view)
}

pub(super) fn intents(world: &World, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &list::with(&["created", "customer", "customer_account"]))?;
    let customer = form.text("customer")?;
    list::of(world, &form, "/v1/payment_intents", |intent: &Intent| {
        customer.as_ref().is_none_or(|customer| intent.customer == *customer)
    })
}

pub(super) fn charges(world: &World, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &list::with(&["created", "customer", "payment_intent", "transfer_group"]))?;
    let (customer, intent) = (form.text("customer")?, form.text("payment_intent")?);
    list::of(world, &form, "/v1/charges", |charge: &Charge| {
        customer.as_ref().is_none_or(|customer| charge.customer == *customer)
            && intent.as_ref().is_none_or(|intent| charge.intent == *intent)
    })
}
