//! What is sold: prices and their products. They are set when the sandbox starts.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::{Fault, Refusal};
use super::form::Form;
use super::list;
use super::shape;
use super::world::World;

/// The price that is there when no other is asked for.
pub const PRICE: &str = "price_sandbox_pro";
const PRODUCT: &str = "prod_sandbox_pro";

/// What a subscription costs, and the product it is for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Price {
    pub id: String,
    pub product: String,
    /// The product's.
    pub name: String,
    /// Lower case, ISO 4217.
    pub currency: String,
    /// In the currency's smallest unit.
    pub amount: i64,
    pub interval: Interval,
    /// When it was made; the sandbox's start if 0.
    #[serde(default)]
    pub created: i64,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    Day,
    Week,
    Month,
    Year,
}

impl Interval {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

impl Default for Price {
    /// 499 rupees a month.
    fn default() -> Self {
        Self {
            id: PRICE.to_owned(),
            product: PRODUCT.to_owned(),
            name: "Pro".to_owned(),
            currency: "inr".to_owned(),
            amount: 49_900,
            interval: Interval::Month,
            created: 0,
        }
    }
}

impl Price {
    pub(super) fn show(&self) -> Value {
        shape::complete(
            &shape::PRICE,
            json!({
                "id": self.id,
                "created": self.created,
                "currency": self.currency,
                "product": self.product,
                "recurring": {
                    "interval": self.interval.word(),
                    "interval_count": 1,
                    "meter": null,
                    "trial_period_days": null,
                    "usage_type": "licensed",
                },
                "unit_amount": self.amount,
                "unit_amount_decimal": self.amount.to_string(),
            }),
        )
    }

    /// The older twin of a price, which subscription items still carry.
    pub(super) fn plan(&self) -> Value {
        shape::complete(
            &shape::PLAN,
            json!({
                "id": self.id,
                "amount": self.amount,
                "amount_decimal": self.amount.to_string(),
                "created": self.created,
                "currency": self.currency,
                "interval": self.interval.word(),
                "product": self.product,
            }),
        )
    }

    pub(super) fn product(&self) -> Value {
        shape::complete(
            &shape::PRODUCT,
            json!({
                "id": self.product,
                "created": self.created,
                "default_price": self.id,
                "name": self.name,
                "updated": self.created,
            }),
        )
    }
}

pub(super) fn price(world: &World, id: &str) -> Result<Value, Refusal> {
    let found = world.prices.iter().find(|price| price.id == id);
    found.map(Price::show).ok_or_else(|| Fault::gone("price", id))
}

pub(super) fn product(world: &World, id: &str) -> Result<Value, Refusal> {
    let found = world.prices.iter().find(|price| price.product == id);
    found.map(Price::product).ok_or_else(|| Fault::gone("product", id))
}

pub(super) fn prices(world: &World, asked: &Value) -> Result<Value, Refusal> {
    const KNOWN: &[&str] = &["active", "created", "currency", "lookup_keys", "product", "recurring", "type"];
    let form = Form::root(asked, &list::with(KNOWN))?;
    let product = form.text("product")?;
    let fits = |price: &&Price| product.as_ref().is_none_or(|product| price.product == *product);
    let views: Vec<Value> = world.prices.iter().filter(fits).map(Price::show).collect();
    list::of_views(&form, "/v1/prices", &views)
}

pub(super) fn products(world: &World, asked: &Value) -> Result<Value, Refusal> {
    let form = Form::root(asked, &list::with(&["active", "created", "ids", "shippable", "type", "url"]))?;
    let mut views: Vec<Value> = Vec::new();
    for price in &world.prices {
        if !views.iter().any(|view| view["id"] == price.product.as_str()) {
            views.push(price.product());
        }
    }
    list::of_views(&form, "/v1/products", &views)
}

/// The price that a line of a request names.
pub(super) fn of_line(world: &World, line: &Form<'_>) -> Result<Price, Refusal> {
    let id = line.required("price")?;
    let found = world.prices.iter().find(|price| price.id == id);
    found.cloned().ok_or_else(|| Fault::no_such("price", &id, &line.name("price")))
}
