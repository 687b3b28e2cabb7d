//! The calls about payments: what paid an invoice, what was given back, what was disputed.

use serde_json::Value;

use super::calls::{PAGE, unreadable};
use super::client::Ask;
use super::form::Form;
use super::object::{Dispute, id};
use super::{Charge, Client, Error};
use crate::clock::Moment;

/// Why a payment cannot be given back: it was.
const TAKEN_BACK: [&str; 2] = ["charge_already_refunded", "charge_disputed"];

/// Money that was given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    pub amount: i64,
    pub currency: String,
}

impl Client {
    /// What paid an invoice: a payment intent, or a charge in older versions; none when nothing did.
    pub async fn payment_of(&self, invoice: &str) -> Result<Option<Payment>, Error> {
        let found = self.call(&["invoices", invoice], &Ask::Get, &Form::default()).await?;
        let older = |name: &str| id(&found[name]);
        if let Some(intent) = older("payment_intent") {
            return Ok(Some(Payment::Intent(intent)));
        }
        if let Some(charge) = older("charge") {
            return Ok(Some(Payment::Charge(charge)));
        }
        let form = Form::default().with("invoice", invoice).with("status", "paid");
        let payments = self.call(&["invoice_payments"], &Ask::Get, &form).await?;
        let first =
            payments["data"].as_array().and_then(|list| list.first()).map_or(&Value::Null, |one| &one["payment"]);
        Ok(id(&first["payment_intent"]).map(Payment::Intent).or_else(|| id(&first["charge"]).map(Payment::Charge)))
    }

    /// A payment. What was given back and did not arrive counts as not given back.
    pub async fn charge(&self, charge: &str) -> Result<Charge, Error> {
        let charge = self.call(&["charges", charge], &Ask::Get, &Form::default()).await?;
        let mut charge = Charge::of(&charge).ok_or_else(|| unreadable("charge"))?;
        if charge.amount_refunded > 0 {
            charge.amount_refunded = charge.amount_refunded.min(self.given_back(&charge.id).await?);
        }
        Ok(charge)
    }

    /// The sum of a payment's refunds that did not fail: the payment itself may go on counting those that did.
    async fn given_back(&self, charge: &str) -> Result<i64, Error> {
        let form = Form::default().with("charge", charge).with("limit", PAGE);
        let refund = |object: &Value| {
            let is_lost = matches!(object["status"].as_str(), Some("failed" | "canceled"));
            Some((id(&object["id"])?, if is_lost { 0 } else { object["amount"].as_i64()? }))
        };
        let mut sum = 0;
        let add = |page: Vec<(String, i64)>| sum += page.iter().map(|(_, amount)| amount).sum::<i64>();
        match self.each_page(&["refunds"], &form, refund, |(id, _)| id, add).await {
            // Another server of Stripe's protocol may not have this list.
            Err(Error::Refused(refusal)) if refusal.status == 404 => Ok(i64::MAX),
            outcome => outcome.map(|()| sum),
        }
    }

    /// Gives a whole payment back; one that was given back already is no fault, and no refund.
    pub async fn refund(&self, payment: &Payment, key: &str) -> Result<Option<Refund>, Error> {
        let form = match payment {
            Payment::Intent(intent) => Form::default().with("payment_intent", intent),
            Payment::Charge(charge) => Form::default().with("charge", charge),
        };
        let refund = match self.call(&["refunds"], &Ask::Post(key), &form).await {
            Err(Error::Refused(refusal)) if TAKEN_BACK.contains(&refusal.code.as_str()) => return Ok(None),
            outcome => outcome?,
        };
        let amount = refund["amount"].as_i64().ok_or_else(|| unreadable("refund"))?;
        let currency = refund["currency"].as_str().ok_or_else(|| unreadable("refund"))?.to_owned();
        Ok(Some(Refund { amount, currency }))
    }

    /// The charges of which something was given back or disputed since then.
    pub async fn charges_taken_back(&self, since: Moment) -> Result<Vec<String>, Error> {
        let form = Form::default().with("created[gte]", since.seconds().to_string()).with("limit", PAGE);
        let mut charges = Vec::new();
        let refund = |object: &Value| Some((id(&object["id"])?, id(&object["charge"])));
        self.each_page(
            &["refunds"],
            &form,
            refund,
            |(id, _)| id,
            |page| {
                charges.extend(page.into_iter().filter_map(|(_, charge)| charge));
            },
        )
        .await?;
        self.each_page(
            &["disputes"],
            &form,
            Dispute::of,
            |dispute| &dispute.id,
            |page| {
                charges.extend(page.into_iter().filter_map(|dispute| dispute.charge));
            },
        )
        .await?;
        charges.sort_unstable();
        charges.dedup();
        Ok(charges)
    }
}

/// What an invoice was paid by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payment {
    Intent(String),
    Charge(String),
}

impl Payment {
    /// Whether this is the payment that a charge belongs to.
    #[must_use]
    pub fn is_of(&self, charge: &Charge) -> bool {
        match self {
            Self::Intent(intent) => charge.payment_intent.as_ref() == Some(intent),
            Self::Charge(id) => charge.id == *id,
        }
    }
}
