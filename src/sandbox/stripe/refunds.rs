//! Money given back.

use serde_json::{Map, Value, json};

use super::error::{Fault, Refusal};
use super::form::Form;
use super::ids;
use super::list;
use super::payment::{Charge, ChargeStatus, Intent};
use super::world::{Object, World, object};

#[derive(Clone, Debug)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) charge: String,
    intent: String,
    amount: i64,
    currency: String,
    reason: Option<String>,
    metadata: Map<String, Value>,
    has_failed: bool,
}

object!(Refund, "refund", refunds);

impl Refund {
    fn show(&self) -> Value {
        let mut refund = json!({
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "balance_transaction": self.id.replacen("re_", "txn_", 1),
            "charge": self.charge,
            "created": self.created,
            "currency": self.currency,
            "destination_details": {
                "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
                "type": "card",
            },
            "metadata": self.metadata,
            "payment_intent": self.intent,
            "reason": self.reason,
            "receipt_number": null,
            "source_transfer_reversal": null,
            "status": "succeeded",
            "transfer_reversal": null,
        });
        if self.has_failed {
            refund["status"] = "failed".into();
            refund["failure_reason"] = "expired_or_canceled_card".into();
            refund["failure_balance_transaction"] = self.id.replacen("re_", "txn_back_", 1).into();
        }
        refund
    }
}

const KNOWN: &[&str] = &[
    "amount",
    "charge",
    "currency",
    "customer",
    "instructions_email",
    "metadata",
    "origin",
    "payment_intent",
    "reason",
    "refund_application_fee",
    "reverse_transfer",
];

pub(super) fn create(world: &mut World, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, KNOWN)?;
    let reason = form.word("reason", &["duplicate", "fraudulent", "requested_by_customer"])?;
    let mut metadata = Map::new();
    form.metadata(&mut metadata)?;
    let amount = form.integer("amount")?;
    let charge = charge_of(world, &form)?.clone();
    let left = charge.amount - charge.refunded;
    if charge.status != ChargeStatus::Succeeded {
        return Err(Fault::conflict(format!("Charge {} is not paid and cannot be refunded.", charge.id)));
    }
    if left == 0 {
        let message = format!("Charge {} has already been refunded.", charge.id);
        return Err(Fault::conflict(message).code("charge_already_refunded"));
    }
    if charge.is_disputed {
        let message = format!("Charge {} has been charged back; cannot issue a refund.", charge.id);
        return Err(Fault::conflict(message).code("charge_disputed"));
    }
    let amount = amount.unwrap_or(left);
    if amount < 1 || amount > left {
        let message = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
        return Err(Fault::conflict(message).param("amount"));
    }
    let refund = Refund {
        id: ids::fresh("re_"),
        created: world.now,
        charge: charge.id.clone(),
        intent: charge.intent,
        amount,
        currency: charge.currency,
        reason,
        metadata,
        has_failed: false,
    };
    let view = refund.view();
    world.add(refund, "refund.created");
    world.change::<Charge>(&charge.id, "charge.refunded", |charge| charge.refunded += amount);
    Ok(view)
}

/// The bank does not take it: the money comes back, and the charge counts it no more.
/// <https://docs.stripe.com/refunds#failed-refunds>
pub(super) fn fail(world: &mut World, id: &str) -> Result<Value, Refusal> {
    let Refund { charge, amount, has_failed, .. } = world.find::<Refund>(id)?.clone();
    if has_failed {
        return Err(Fault::conflict(format!("Refund {id} has failed already.")));
    }
    world.set::<Charge>(&charge, |charge| charge.refunded -= amount);
    world.change::<Refund>(id, "charge.refund.updated", |refund| refund.has_failed = true);
    world.announce::<Refund>(id, "refund.failed");
    retrieve(world, id)
}

fn charge_of<'a>(world: &'a World, form: &Form<'_>) -> Result<&'a Charge, Refusal> {
    if let Some(id) = form.text("charge")? {
        return world.named::<Charge>(&id, "charge");
    }
    let Some(id) = form.text("payment_intent")? else {
        return Err(Fault::invalid(
            "One of the following params should be provided for this request: payment_intent or charge.",
        ));
    };
    let charge = world.named::<Intent>(&id, "payment_intent")?.charge.as_ref();
    let found = charge.and_then(|charge| world.charges.get(charge));
    found.ok_or_else(|| {
        Fault::conflict(format!("This PaymentIntent ({id}) does not have a successful charge to refund."))
    })
}

pub(super) fn retrieve(world: &World, id: &str) -> Result<Value, Refusal> {
    world.find::<Refund>(id).map(Object::view)
}

pub(super) fn list(world: &World, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &list::with(&["charge", "created", "payment_intent"]))?;
    let (charge, intent) = (form.text("charge")?, form.text("payment_intent")?);
    list::of(world, &form, "/v1/refunds", |refund: &Refund| {
        charge.as_ref().is_none_or(|charge| refund.charge == *charge)
            && intent.as_ref().is_none_or(|intent| refund.intent == *intent)
    })
}

/// Of one charge, newest first.
pub(super) fn of_charge(world: &World, charge: &str) -> Value {
    let views =
        world.refunds.iter().rev().filter(|refund| refund.charge == charge).map(Refund::show).collect::<Vec<_>>();
    list::whole(&format!("/v1/charges/{charge}/refunds"), &views)
}
