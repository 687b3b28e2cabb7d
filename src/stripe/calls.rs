//! The calls we make, one function each.

use serde_json::Value;

use super::client::Ask;
use super::form::Form;
use super::object::{Dispute, Page};
use super::object::{id, moment};
use super::{Charge, Checkout, Client, Error, Event, Price, Subscription};
use crate::clock::Moment;

/// As many as Stripe gives at once.
const PAGE: &str = "100";
/// A server that turns in a circle must end.
const MOST_PAGES: usize = 10_000;

/// A checkout session to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewCheckout<'a> {
    pub customer: &'a str,
    pub user_id: &'a str,
    pub price: &'a str,
    /// With `{CHECKOUT_SESSION_ID}` where the session's id goes.
    pub success_url: &'a str,
    pub cancel_url: &'a str,
}

/// Money that was given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    pub amount: i64,
    pub currency: String,
}

impl Client {
    /// A new customer's id.
    pub async fn create_customer(&self, phone: &str, user_id: &str, key: &str) -> Result<String, Error> {
        let form = Form::default().with("phone", phone).with("metadata[user_id]", user_id);
        let customer = self.call(&["customers"], &Ask::Post(key), &form).await?;
        id(&customer["id"]).ok_or_else(|| unreadable("customer"))
    }

    /// Whether a customer is there; whoever was deleted is not.
    pub async fn has_customer(&self, customer: &str) -> Result<bool, Error> {
        match self.call(&["customers", customer], &Ask::Get, &Form::default()).await {
            Ok(customer) => Ok(customer["deleted"] != true),
            Err(error) if error.is_missing("id") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a customer, which ends all their subscriptions at once; one that is gone is no fault.
    pub async fn delete_customer(&self, customer: &str) -> Result<(), Error> {
        let key = format!("delete-{customer}");
        gone_is_fine(self.call(&["customers", customer], &Ask::Delete(&key), &Form::default()).await)
    }

    pub async fn create_checkout(&self, new: NewCheckout<'_>, key: &str) -> Result<Checkout, Error> {
        let form = Form::default()
            .with("mode", "subscription")
            .with("customer", new.customer)
            .with("client_reference_id", new.user_id)
            .with("success_url", new.success_url)
            .with("cancel_url", new.cancel_url)
            .with("line_items[0][price]", new.price)
            .with("line_items[0][quantity]", "1")
            .with("metadata[user_id]", new.user_id)
            .with("subscription_data[metadata][user_id]", new.user_id);
        let session = self.call(&["checkout", "sessions"], &Ask::Post(key), &form).await?;
        Checkout::of(&session).ok_or_else(|| unreadable("checkout session"))
    }

    pub async fn checkout(&self, session: &str) -> Result<Checkout, Error> {
        let session = self.call(&["checkout", "sessions", session], &Ask::Get, &Form::default()).await?;
        Checkout::of(&session).ok_or_else(|| unreadable("checkout session"))
    }

    /// Ends an open session; refused when it is no longer open.
    pub async fn expire_checkout(&self, session: &str) -> Result<(), Error> {
        let key = format!("expire-{session}");
        self.call(&["checkout", "sessions", session, "expire"], &Ask::Post(&key), &Form::default()).await.map(|_| ())
    }

    /// The address of a page where the customer manages subscriptions and cards.
    pub async fn create_portal(&self, customer: &str, return_url: &str, key: &str) -> Result<String, Error> {
        let form = Form::default().with("customer", customer).with("return_url", return_url);
        let session = self.call(&["billing_portal", "sessions"], &Ask::Post(key), &form).await?;
        session["url"].as_str().map(str::to_owned).ok_or_else(|| unreadable("portal session"))
    }

    /// All subscriptions that a customer has or had.
    pub async fn subscriptions_of(&self, customer: &str) -> Result<Vec<Subscription>, Error> {
        let form = Form::default().with("customer", customer).with("status", "all").with("limit", PAGE);
        let mut found = Vec::new();
        self.each_page(&["subscriptions"], &form, Subscription::of, |sub| &sub.id, |page| found.extend(page)).await?;
        Ok(found)
    }

    /// All subscriptions of the account, page by page.
    pub async fn all_subscriptions(&self, take: impl FnMut(Vec<Subscription>)) -> Result<(), Error> {
        let form = Form::default().with("status", "all").with("limit", PAGE);
        self.each_page(&["subscriptions"], &form, Subscription::of, |sub| &sub.id, take).await
    }

    /// Sets or takes back the end of a subscription at its period's end.
    pub async fn set_cancels(&self, subscription: &str, cancels: bool, key: &str) -> Result<(), Error> {
        let form = Form::default().with("cancel_at_period_end", if cancels { "true" } else { "false" });
        self.call(&["subscriptions", subscription], &Ask::Post(key), &form).await.map(|_| ())
    }

    /// Ends a subscription at once; one that has ended or is gone is no fault.
    pub async fn end_subscription(&self, subscription: &str) -> Result<(), Error> {
        let key = format!("end-{subscription}");
        gone_is_fine(self.call(&["subscriptions", subscription], &Ask::Delete(&key), &Form::default()).await)
    }

    /// Since when a subscription's payment is overdue: the age of its oldest open invoice.
    pub async fn overdue_since(&self, subscription: &str) -> Result<Option<Moment>, Error> {
        let form = Form::default().with("subscription", subscription).with("status", "open").with("limit", PAGE);
        let list = self.call(&["invoices"], &Ask::Get, &form).await?;
        let invoices = list["data"].as_array().ok_or_else(|| unreadable("list of invoices"))?;
        Ok(invoices.iter().filter_map(|invoice| moment(&invoice["created"])).min())
    }

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

    pub async fn charge(&self, charge: &str) -> Result<Charge, Error> {
        let charge = self.call(&["charges", charge], &Ask::Get, &Form::default()).await?;
        Charge::of(&charge).ok_or_else(|| unreadable("charge"))
    }

    /// Gives a whole payment back; one that was given back already is no fault, and no refund.
    pub async fn refund(&self, payment: &Payment, key: &str) -> Result<Option<Refund>, Error> {
        let form = match payment {
            Payment::Intent(intent) => Form::default().with("payment_intent", intent),
            Payment::Charge(charge) => Form::default().with("charge", charge),
        };
        let refund = match self.call(&["refunds"], &Ask::Post(key), &form).await {
            Err(Error::Refused(refusal)) if refusal.code == "charge_already_refunded" => return Ok(None),
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

    /// Events of the last 30 days that are not older than `since`, newest first, page by page.
    pub async fn events(&self, since: Moment, take: impl FnMut(Vec<Event>)) -> Result<(), Error> {
        let form = Form::default().with("created[gte]", since.seconds().to_string()).with("limit", PAGE);
        self.each_page(&["events"], &form, Event::of, |event| &event.id, take).await
    }

    pub async fn price(&self, price: &str) -> Result<Price, Error> {
        let price = self.call(&["prices", price], &Ask::Get, &Form::default()).await?;
        Price::of(&price).ok_or_else(|| unreadable("recurring price"))
    }

    async fn each_page<T>(
        &self,
        path: &[&str],
        form: &Form,
        read: impl Fn(&Value) -> Option<T>,
        id: impl Fn(&T) -> &String,
        mut take: impl FnMut(Vec<T>),
    ) -> Result<(), Error> {
        let mut after = None;
        for _ in 0..MOST_PAGES {
            let form = form.clone().with_some("starting_after", after.as_deref());
            let list = self.call(path, &Ask::Get, &form).await?;
            let page = Page::of(&list, &read).ok_or_else(|| unreadable("list"))?;
            after = page.data.last().map(|last| id(last).clone());
            let is_last = !page.has_more || after.is_none();
            take(page.data);
            if is_last {
                return Ok(());
            }
        }
        Err(Error::Unreadable("the list has no end".to_owned()))
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

fn unreadable(what: &str) -> Error {
    Error::Unreadable(format!("it is no {what}"))
}

fn gone_is_fine(outcome: Result<Value, Error>) -> Result<(), Error> {
    match outcome {
        Err(error) if error.is_missing("id") => Ok(()),
        outcome => outcome.map(|_| ()),
    }
}
