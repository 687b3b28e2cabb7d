//! The calls we make, one function each; those about payments are in `payments.rs`.

use serde_json::Value;

use super::client::Ask;
use super::form::Form;
use super::object::Page;
use super::object::{id, moment};
use super::{Checkout, Client, Error, Event, Price, Subscription};
use crate::clock::Moment;

/// As many as Stripe gives at once.
pub(super) const PAGE: &str = "100";
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

impl Client {
    /// A new customer's id.
    pub async fn create_customer(&self, phone: &str, user_id: &str, key: &str) -> Result<String, Error> {
        let form = Form::default().with("phone", phone).with("metadata[user_id]", user_id);
        let customer = self.call(&["customers"], &Ask::Post(key), &form).await?;
        id(&customer["id"]).ok_or_else(|| unreadable("customer"))
    }

    /// Whether Stripe says of a customer that it was deleted. One that is not known to it was not.
    pub async fn is_deleted(&self, customer: &str) -> Result<bool, Error> {
        match self.call(&["customers", customer], &Ask::Get, &Form::default()).await {
            Ok(customer) => Ok(customer["deleted"] == true),
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
    pub async fn expire_checkout(&self, session: &str, key: &str) -> Result<(), Error> {
        self.call(&["checkout", "sessions", session, "expire"], &Ask::Post(key), &Form::default()).await.map(|_| ())
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

    /// Sets or takes back the end of a subscription at its period's end; whether it ends by itself then.
    pub async fn set_cancels(&self, subscription: &str, cancels: bool, key: &str) -> Result<bool, Error> {
        let path = ["subscriptions", subscription];
        let form = Form::default().with("cancel_at_period_end", if cancels { "true" } else { "false" });
        let changed = self.call(&path, &Ask::Post(key), &form).await?;
        let read = |object: &Value| Subscription::of(object).ok_or_else(|| unreadable("subscription"));
        if cancels || !read(&changed)?.cancels {
            return Ok(read(&changed)?.cancels);
        }
        // An end on a day of its own, as Stripe's portal sets it. Both cannot be said in one call.
        let form = Form::default().with("cancel_at", "");
        let changed = self.call(&path, &Ask::Post(&format!("{key}-at")), &form).await?;
        Ok(read(&changed)?.cancels)
    }

    /// Ends a subscription at once; one that has ended or is gone is no fault.
    pub async fn end_subscription(&self, subscription: &str) -> Result<(), Error> {
        let key = format!("end-{subscription}");
        gone_is_fine(self.call(&["subscriptions", subscription], &Ask::Delete(&key), &Form::default()).await)
    }

    /// Since when a subscription's payment is overdue: the age of the first of its newest invoices that are all open. An
    /// open one before a paid one is an older story.
    pub async fn overdue_since(&self, subscription: &str) -> Result<Option<Moment>, Error> {
        let form = Form::default().with("subscription", subscription).with("limit", PAGE);
        let list = self.call(&["invoices"], &Ask::Get, &form).await?;
        let invoices = list["data"].as_array().ok_or_else(|| unreadable("list of invoices"))?;
        let finished = invoices.iter().filter(|invoice| !matches!(invoice["status"].as_str(), Some("draft" | "void")));
        let open = finished.take_while(|invoice| invoice["status"] == "open");
        Ok(open.filter_map(|invoice| moment(&invoice["created"])).min())
    }

    /// The sessions on which a customer can still pay.
    pub async fn open_checkouts_of(&self, customer: &str) -> Result<Vec<Checkout>, Error> {
        let form = Form::default().with("customer", customer).with("status", "open").with("limit", PAGE);
        let mut open = Vec::new();
        let path = ["checkout", "sessions"];
        self.each_page(&path, &form, Checkout::of, |session| &session.id, |page| open.extend(page)).await?;
        Ok(open)
    }

    /// Events of these kinds (20 at most) of the last 30 days that are not older than `since`, newest first, page by page.
    pub async fn events(&self, since: Moment, kinds: &[&str], take: impl FnMut(Vec<Event>)) -> Result<(), Error> {
        let form = Form::default().with("created[gte]", since.seconds().to_string()).with("limit", PAGE);
        let form = kinds.iter().fold(form, |form, kind| form.with("types[]", kind));
        self.each_page(&["events"], &form, Event::of, |event| &event.id, take).await
    }

    pub async fn price(&self, price: &str) -> Result<Price, Error> {
        let price = self.call(&["prices", price], &Ask::Get, &Form::default()).await?;
        Price::of(&price).ok_or_else(|| unreadable("recurring price"))
    }

    pub(super) async fn each_page<T>(
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

pub(super) fn unreadable(what: &str) -> Error {
    Error::Unreadable(format!("it is no {what}"))
}

fn gone_is_fine(outcome: Result<Value, Error>) -> Result<(), Error> {
    match outcome {
        Err(error) if error.is_missing("id") => Ok(()),
        outcome => outcome.map(|_| ()),
    }
}
