//! Disputes: a bank takes the money back. Only the sandbox's own addresses begin and end them.

use serde_json::{Value, json};

use super::error::{Fault, Refusal};
use super::form::Form;
use super::ids;
use super::list;
use super::payment::{Charge, ChargeStatus};
use super::world::{Object, World, object};

const DAY: i64 = 24 * 60 * 60;

#[derive(Clone, Debug)]
pub(super) struct Dispute {
    pub(super) id: String,
    pub(super) created: i64,
    charge: String,
    intent: String,
    amount: i64,
    currency: String,
    reason: String,
    status: &'static str,
}

object!(Dispute, "dispute", disputes);

impl Dispute {
    fn show(&self) -> Value {
        json!({
            "id": self.id,
            "object": "dispute",
            "amount": self.amount,
            "balance_transactions": [],
            "charge": self.charge,
            "created": self.created,
            "currency": self.currency,
            "enhanced_eligibility_types": [],
            "evidence": {"enhanced_evidence": {}},
            "evidence_details": {
                "due_by": self.created + 7 * DAY, "enhanced_eligibility": {}, "has_evidence": false, "past_due": false,
                "submission_count": 0, "submission_method": "manual",
            },
            "is_charge_refundable": false,
            "livemode": false,
            "metadata": {},
            "network_reason_code": "10.4",
            "payment_intent": self.intent,
            "payment_method_details": {
                "card": {"brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4"}, "type": "card",
            },
            "reason": self.reason,
            "status": self.status,
        })
    }
}

/// A bank disputes a charge.
pub(super) fn open(world: &mut World, charge: &str, reason: Option<String>) -> Result<Value, Refusal> {
    let found = world.named::<Charge>(charge, "charge")?;
    if found.status != ChargeStatus::Succeeded || found.is_disputed {
        return Err(
            Fault::conflict("Only a charge that is paid, and not disputed yet, can be disputed").param("charge")
        );
    }
    let dispute = Dispute {
        id: ids::fresh("dp_"),
        created: world.now,
        charge: found.id.clone(),
        intent: found.intent.clone(),
        amount: found.amount - found.refunded,
        currency: found.currency.clone(),
        reason: reason.unwrap_or_else(|| "fraudulent".to_owned()),
        status: "needs_response",
    };
    let view = dispute.view();
    world.set::<Charge>(charge, |charge| charge.is_disputed = true);
    world.add(dispute, "charge.dispute.created");
    Ok(view)
}

/// Ends it, won or lost.
pub(super) fn close(world: &mut World, id: &str, won: bool) -> Result<Value, Refusal> {
    world.find::<Dispute>(id)?;
    world.set::<Dispute>(id, |dispute| dispute.status = if won { "won" } else { "lost" });
    world.announce::<Dispute>(id, "charge.dispute.closed");
    retrieve(world, id)
}

pub(super) fn retrieve(world: &World, id: &str) -> Result<Value, Refusal> {
    world.find::<Dispute>(id).map(Object::view)
}

pub(super) fn list(world: &World, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &list::with(&["charge", "created", "payment_intent"]))?;
    let (charge, intent) = (form.text("charge")?, form.text("payment_intent")?);
    list::of(world, &form, "/v1/disputes", |dispute: &Dispute| {
        charge.as_ref().is_none_or(|charge| dispute.charge == *charge)
            && intent.as_ref().is_none_or(|intent| dispute.intent == *intent)
    })
}
