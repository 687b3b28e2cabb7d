//! An invoice as it stands, as Stripe shows it, and what paid it.

use serde_json::{Map, Value, json};

use super::catalog::Price;
use super::customers::Customer;
use super::list;
use super::shape;
use super::world::object;

#[derive(Clone, Debug)]
pub(super) struct Invoice {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) customer: String,
    pub(super) email: Option<String>,
    pub(super) name: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) subscription: String,
    pub(super) item: String,
    /// The subscription's when this was made.
    pub(super) metadata: Map<String, Value>,
    pub(super) price: Price,
    pub(super) quantity: i64,
    pub(super) amount: i64,
    /// `subscription_create`, `subscription_cycle`, ...
    pub(super) reason: &'static str,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) status: Status,
    /// Set when it is finalized.
    pub(super) number: Option<String>,
    pub(super) attempts: u32,
    pub(super) next_attempt: Option<i64>,
    /// When a draft goes out by itself.
    pub(super) finalizes_at: Option<i64>,
    pub(super) finalized_at: Option<i64>,
    pub(super) paid_at: Option<i64>,
    pub(super) voided_at: Option<i64>,
    pub(super) uncollectible_at: Option<i64>,
    pub(super) intent: Option<String>,
}

object!(Invoice, "invoice", invoices);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Draft,
    Open,
    Paid,
    Void,
    Uncollectible,
}

impl Status {
    pub(super) const WORDS: [&str; 5] = ["draft", "open", "paid", "void", "uncollectible"];

    pub(super) fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

impl Invoice {
    pub(super) fn addressed_to(mut self, customer: &Customer) -> Self {
        (self.email, self.name, self.phone) = (customer.email.clone(), customer.name.clone(), customer.phone.clone());
        self
    }

    fn show(&self) -> Value {
        let paid = if self.status == Status::Paid { self.amount } else { 0 };
        shape::complete(
            &shape::INVOICE,
            json!({
                "id": self.id,
                "amount_due": self.amount,
                "amount_paid": paid,
                "amount_remaining": self.amount - paid,
                "attempt_count": self.attempts,
                "attempted": self.attempts > 0,
                "auto_advance": self.advances(),
                "automatically_finalizes_at": self.finalizes_at,
                "billing_reason": self.reason,
                "created": self.created,
                "currency": self.price.currency,
                "customer": self.customer,
                "customer_email": self.email,
                "customer_name": self.name,
                "customer_phone": self.phone,
                "effective_at": self.finalized_at,
                "ending_balance": self.finalized_at.map(|_| 0),
                "lines": list::whole(&format!("/v1/invoices/{}/lines", self.id), &[self.line()]),
                "next_payment_attempt": self.next_attempt,
                "number": self.number,
                "parent": {
                    "quote_details": null,
                    "subscription_details": {
                        "metadata": self.metadata, "subscription": self.subscription, "subscription_proration_date": null,
                    },
                    "type": "subscription_details",
                },
                "period_end": self.created,
                "period_start": if self.reason == "subscription_create" { self.created } else { self.start },
                "status": self.status.word(),
                "status_transitions": {
                    "finalized_at": self.finalized_at, "marked_uncollectible_at": self.uncollectible_at,
                    "paid_at": self.paid_at, "voided_at": self.voided_at,
                },
                "subtotal": self.amount,
                "subtotal_excluding_tax": self.amount,
                "total": self.amount,
                "total_excluding_tax": self.amount,
                "webhooks_delivered_at": self.created,
            }),
        )
    }

    fn advances(&self) -> bool {
        match self.status {
            Status::Draft => self.finalizes_at.is_some(),
            Status::Open => self.next_attempt.is_some() || self.attempts == 0,
            Status::Paid | Status::Void | Status::Uncollectible => false,
        }
    }

    fn line(&self) -> Value {
        shape::complete(
            &shape::INVOICE_LINE,
            json!({
                "id": self.id.replacen("in_", "il_", 1),
                "amount": self.amount,
                "currency": self.price.currency,
                "description": format!("{} × {}", self.quantity, self.price.name),
                "invoice": self.id,
                "metadata": self.metadata,
                "parent": {
                    "invoice_item_details": null,
                    "subscription_item_details": {
                        "invoice_item": null, "proration": false, "proration_details": {"credited_items": null},
                        "subscription": self.subscription, "subscription_item": self.item,
                    },
                    "type": "subscription_item_details",
                },
                "period": {"end": self.end, "start": self.start},
                "pricing": {
                    "price_details": {"price": self.price.id, "product": self.price.product},
                    "type": "price_details",
                    "unit_amount_decimal": self.price.amount.to_string(),
                },
                "quantity": self.quantity,
                "quantity_decimal": self.quantity.to_string(),
                "subscription": self.subscription,
                "subtotal": self.amount,
            }),
        )
    }

    /// Where current versions keep what paid it; none while it is a draft, nor for nothing.
    pub(super) fn payment(&self) -> Option<Value> {
        let intent = self.intent.as_ref()?;
        let status = match self.status {
            Status::Paid => "paid",
            Status::Void => "canceled",
            Status::Draft | Status::Open | Status::Uncollectible => "open",
        };
        Some(json!({
            "id": self.id.replacen("in_", "inpay_", 1),
            "object": "invoice_payment",
            "amount_paid": (self.status == Status::Paid).then_some(self.amount),
            "amount_requested": self.amount,
            "created": self.finalized_at,
            "currency": self.price.currency,
            "invoice": self.id,
            "is_default": true,
            "livemode": false,
            "payment": {"payment_intent": intent, "type": "payment_intent"},
            "status": status,
            "status_transitions": {"canceled_at": self.voided_at, "paid_at": self.paid_at},
        }))
    }
}
