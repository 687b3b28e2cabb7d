//! Bodies as Stripe takes them: `line_items[0][price]=price_1&mode=subscription`.

use url::form_urlencoded::byte_serialize;

/// Fields in their order. Names are ours, and their brackets stay as they are; values are escaped.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(String);

impl Form {
    pub(super) fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(byte_serialize(value.as_ref().as_bytes()));
        self
    }

    pub(super) fn with_some(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_keep_their_brackets_and_values_are_escaped() {
        let form = Form::default().with("metadata[user_id]", "a b&c=d[é]").with_some("x", None::<&str>).with("y", "");
        assert_eq!(form.as_str(), "metadata[user_id]=a+b%26c%3Dd%5B%C3%A9%5D&y=");
    }

    proptest! {
        #[test]
        fn whatever_is_put_in_is_read_back(values in prop::collection::vec(any::<String>(), 0..5)) {
            let form = values.iter().fold(Form::default(), |form, value| form.with("v[0]", value));
            let read: Vec<String> =
                url::form_urlencoded::parse(form.as_str().as_bytes()).map(|(_, value)| value.into_owned()).collect();
            prop_assert_eq!(read, values);
        }
    }
}
