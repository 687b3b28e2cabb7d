//! Members that are the same in every object of a kind here: they stand in `shapes/`, so that the code beside them says
//! only what varies.

use std::sync::LazyLock;

use serde_json::{Map, Value};

type Shape = LazyLock<Map<String, Value>>;

macro_rules! shapes {
    ($($name:ident $file:literal),+ $(,)?) => {$(
        pub(super) static $name: Shape = LazyLock::new(|| {
            serde_json::from_str(include_str!(concat!("shapes/", $file, ".json"))).expect("the file is a JSON object")
        });
    )+};
}

shapes! {
    CHARGE "charge",
    CHECKOUT_SESSION "checkout_session",
    CUSTOMER "customer",
    INVOICE "invoice",
    INVOICE_LINE "invoice_line",
    PAYMENT_INTENT "payment_intent",
    PLAN "plan",
    PRICE "price",
    PRODUCT "product",
    SUBSCRIPTION "subscription",
}

/// The shape with these members besides.
pub(super) fn complete(shape: &Shape, varying: Value) -> Value {
    let mut whole = (**shape).clone();
    if let Value::Object(varying) = varying {
        whole.extend(varying);
    }
    whole.into()
}
