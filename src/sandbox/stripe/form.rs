//! Form-encoded requests with nested names (`line_items[0][price]=…`), read as strictly as Stripe does: names and types
//! it does not know are refused.

use serde_json::{Map, Value};

use super::error::{Fault, Refusal};

/// Deeper names and longer forms are not Stripe's.
const DEEPEST: usize = 8;
const MOST_PAIRS: usize = 1_000;

/// Reads `a[b][0]=c&d=e`. Every value is text; names that only count become lists, but for what users name themselves
/// (`metadata[0]=…`). The last of the same name counts; `list[]` adds.
pub(super) fn parse(text: &[u8]) -> Result<Value, Refusal> {
    let pairs: Vec<_> = url::form_urlencoded::parse(text).collect();
    if pairs.len() > MOST_PAIRS {
        return Err(Fault::invalid("The request has too many parameters."));
    }
    let mut root = Map::new();
    for (name, value) in pairs {
        if name.is_empty() {
            continue;
        }
        let path = path(&name).ok_or_else(|| Fault::invalid(format!("Invalid parameter name: {name}")))?;
        insert(&mut root, &path, &value)
            .ok_or_else(|| Fault::invalid(format!("Invalid request: conflicting parameters for {name}")))?;
    }
    Ok(listed(Value::Object(root), false))
}

/// `a[b][]` is a, b and the next of a list.
fn path(name: &str) -> Option<Vec<&str>> {
    let Some((first, rest)) = name.split_once('[') else { return Some(vec![name]) };
    let inner = rest.strip_suffix(']')?;
    let mut path = vec![first];
    path.extend(inner.split("]["));
    let is_whole = path.iter().all(|part| !part.contains(['[', ']'])) && !first.is_empty();
    (is_whole && path.len() <= DEEPEST).then_some(path)
}

fn insert(into: &mut Map<String, Value>, path: &[&str], value: &str) -> Option<()> {
    let (first, rest) = path.split_first()?;
    let name = if first.is_empty() { next_of(into) } else { (*first).to_owned() };
    if rest.is_empty() {
        let place = into.entry(name).or_insert_with(|| Value::String(String::new()));
        return place.is_string().then(|| *place = value.into());
    }
    insert(into.entry(name).or_insert_with(|| Value::Object(Map::new())).as_object_mut()?, rest, value)
}

/// A list grows behind its greatest number.
fn next_of(list: &Map<String, Value>) -> String {
    list.keys().filter_map(|key| key.parse::<usize>().ok()).max().map_or(0, |most| most.saturating_add(1)).to_string()
}

/// Turns what is numbered into lists, in the order of the numbers.
fn listed(value: Value, is_users_own: bool) -> Value {
    let Value::Object(map) = value else { return value };
    let numbers: Option<Vec<usize>> = map.keys().map(|key| key.parse().ok()).collect();
    match numbers {
        Some(numbers) if !numbers.is_empty() && !is_users_own => {
            let mut items: Vec<_> = numbers.into_iter().zip(map.into_iter().map(|(_, value)| value)).collect();
            items.sort_by_key(|(number, _)| *number);
            items.into_iter().map(|(_, value)| listed(value, false)).collect()
        }
        _ => map
            .into_iter()
            .map(|(key, value)| {
                let value = listed(value, key == "metadata");
                (key, value)
            })
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// One level of a request, and the name it is reached by.
#[derive(Clone, Debug)]
pub(super) struct Form<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Form<'a> {
    /// The whole request, of which these names are known; `expand` always is.
    pub(super) fn root(value: &'a Value, known: &[&str]) -> Result<Self, Refusal> {
        let Some(map) = value.as_object() else { return Err(Fault::invalid("Invalid request")) };
        Self { map, path: String::new() }.knows(known)
    }

    fn knows(self, known: &[&str]) -> Result<Self, Refusal> {
        match self.map.keys().find(|name| !known.contains(&name.as_str()) && *name != "expand") {
            Some(unknown) => Err(Fault::unknown(&self.name(unknown))),
            None => Ok(self),
        }
    }

    pub(super) fn name(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}[{name}]", self.path) }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    pub(super) fn is_nested(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(Value::is_object)
    }

    /// A text as it came; empty when it was sent to unset something.
    pub(super) fn raw(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        match self.map.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => {
                let name = self.name(name);
                Err(Fault::invalid(format!("Invalid string for {name}")).param(&name))
            }
        }
    }

    /// A text; one that is empty counts as none.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        Ok(self.raw(name)?.filter(|text| !text.is_empty()).map(str::to_owned))
    }

    pub(super) fn required(&self, name: &str) -> Result<String, Refusal> {
        self.text(name)?.ok_or_else(|| Fault::missing(&self.name(name)))
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.raw(name)? {
            None | Some("") => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => {
                let name = self.name(name);
                Err(Fault::invalid(format!("Invalid boolean: {other}")).param(&name))
            }
        }
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let wrong = |_| {
            let name = self.name(name);
            Fault::invalid(format!("Invalid integer: {text}")).code("parameter_invalid_integer").param(&name)
        };
        text.parse().map(Some).map_err(wrong)
    }

    /// One of these words.
    pub(super) fn word(&self, name: &str, words: &[&str]) -> Result<Option<String>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        if words.contains(&text.as_str()) {
            return Ok(Some(text));
        }
        let name = self.name(name);
        Err(Fault::invalid(format!("Invalid {name}: must be one of {}", words.join(", "))).param(&name))
    }

    /// What stands below a name.
    pub(super) fn below(&self, name: &str, known: &[&str]) -> Result<Option<Self>, Refusal> {
        match self.map.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Self { map, path: self.name(name) }.knows(known).map(Some),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(_) => {
                let name = self.name(name);
                Err(Fault::invalid("Invalid object").param(&name))
            }
        }
    }

    /// The members of a list.
    pub(super) fn members(&self, name: &str, known: &[&str]) -> Result<Vec<Self>, Refusal> {
        let wrong = || Fault::invalid("Invalid array").param(&self.name(name));
        let Some(value) = self.map.get(name) else { return Ok(Vec::new()) };
        let members = value.as_array().ok_or_else(wrong)?.iter().enumerate().map(|(at, member)| {
            let map = member.as_object().ok_or_else(wrong)?;
            Self { map, path: format!("{}[{at}]", self.name(name)) }.knows(known)
        });
        members.collect()
    }

    /// The texts of a list.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'a str>, Refusal> {
        let wrong = || Fault::invalid("Invalid array").param(&self.name(name));
        match self.map.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items.iter().map(|item| item.as_str().ok_or_else(wrong)).collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// Sets what `metadata` names; an empty value takes a key away, an empty `metadata` all of them.
    pub(super) fn metadata(&self, into: &mut Map<String, Value>) -> Result<(), Refusal> {
        match self.map.get("metadata") {
            None => Ok(()),
            Some(Value::String(text)) if text.is_empty() => {
                into.clear();
                Ok(())
            }
            Some(Value::Object(pairs)) => pairs.iter().try_for_each(|(key, value)| self.one_metadata(into, key, value)),
            Some(_) => Err(Fault::invalid("Invalid object").param(&self.name("metadata"))),
        }
    }

    fn one_metadata(&self, into: &mut Map<String, Value>, key: &str, value: &Value) -> Result<(), Refusal> {
        let param = format!("{}[{key}]", self.name("metadata"));
        let Some(text) = value.as_str() else {
            return Err(Fault::invalid("Metadata values must be strings").param(&param));
        };
        // https://docs.stripe.com/api/metadata: 50 keys of 40 characters, values of 500.
        if key.chars().count() > 40 || text.chars().count() > 500 {
            return Err(Fault::invalid("Metadata keys have up to 40 characters, values up to 500").param(&param));
        }
        if text.is_empty() {
            into.remove(key);
        } else {
            into.insert(key.to_owned(), text.into());
        }
        if into.len() > 50 {
            return Err(Fault::invalid("Metadata has up to 50 keys").param(&param));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        parse(text.as_bytes()).expect("a form")
    }

    #[test]
    fn nested_names_become_objects_and_lists() {
        for (text, value) in [
            ("", json!({})),
            ("a=1&b=x+y%26z", json!({"a": "1", "b": "x y&z"})),
            (
                "line_items[0][price]=p&line_items[0][quantity]=1",
                json!({"line_items": [{"price": "p", "quantity": "1"}]}),
            ),
            ("expand[]=a&expand[]=b", json!({"expand": ["a", "b"]})),
            ("types[1]=b&types[0]=a&types[10]=c", json!({"types": ["a", "b", "c"]})),
            ("metadata[0]=zero&metadata[user_id]=%F0%9F%8E%89", json!({"metadata": {"0": "zero", "user_id": "🎉"}})),
            ("a=1&a=2", json!({"a": "2"})),
            ("created[gte]=5&metadata=", json!({"created": {"gte": "5"}, "metadata": ""})),
        ] {
            assert_eq!(read(text), value, "{text}");
        }
        for text in
            ["a=1&a[b]=2", "a[b]=2&a=1", "a[b=1", "a[b]c=1", "[a]=1", "a[b][[c]]=1", "a[1][2][3][4][5][6][7][8]=x"]
        {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn unknown_names_and_wrong_types_are_refused_by_their_full_name() {
        let value = read("items[0][price]=p&items[0][prize]=q&n=x&b=yes&l=1");
        let form = Form::root(&value, &["items", "n", "b", "l"]).expect("known names");
        let unknown = form.members("items", &["price"]).expect_err("an unknown name");
        assert_eq!(
            (unknown.param.as_deref(), unknown.code.as_deref()),
            (Some("items[0][prize]"), Some("parameter_unknown"))
        );
        assert_eq!(form.integer("n").expect_err("no number").param.as_deref(), Some("n"));
        assert_eq!(form.boolean("b").expect_err("no boolean").param.as_deref(), Some("b"));
        assert!(form.below("l", &[]).is_err() && form.members("l", &[]).is_err() && form.text("items").is_err());
        assert_eq!(form.required("gone").expect_err("missing").code.as_deref(), Some("parameter_missing"));
    }

    #[test]
    fn metadata_is_merged_and_unset() {
        let mut kept = Map::from_iter([("a".to_owned(), json!("1")), ("b".to_owned(), json!("2"))]);
        let value = read("metadata[a]=&metadata[c]=3");
        Form::root(&value, &["metadata"]).and_then(|form| form.metadata(&mut kept)).expect("metadata");
        assert_eq!(Value::Object(kept.clone()), json!({"b": "2", "c": "3"}));
        let value = read("metadata=");
        Form::root(&value, &["metadata"]).and_then(|form| form.metadata(&mut kept)).expect("metadata");
        assert!(kept.is_empty());
    }

    /// Names as users may choose them, without the brackets that have a meaning.
    fn name() -> impl Strategy<Value = String> {
        "[a-z_]{1,8}".prop_filter("a name of its own", |name| name != "metadata")
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = any::<String>().prop_map(Value::String);
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Value::Array),
                prop::collection::btree_map(name(), inner, 1..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn write(value: &Value, name: &str, into: &mut Vec<(String, String)>) {
        match value {
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(at, item)| write(item, &format!("{name}[{at}]"), into));
            }
            Value::Object(map) => map.iter().for_each(|(key, item)| write(item, &format!("{name}[{key}]"), into)),
            other => into.push((name.to_owned(), other.as_str().unwrap_or_default().to_owned())),
        }
    }

    proptest! {
        #[test]
        fn what_a_client_nests_comes_out_as_it_was(map in prop::collection::btree_map(name(), tree(), 0..5), shuffle: u64) {
            let value = Value::Object(map.into_iter().collect());
            let mut pairs = Vec::new();
            for (key, item) in value.as_object().expect("an object") {
                write(item, key, &mut pairs);
            }
            // The order of the pairs does not matter.
            let turn = usize::try_from(shuffle % 97).unwrap_or(0).checked_rem(pairs.len().max(1)).unwrap_or(0);
            pairs.rotate_left(turn);
            let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            prop_assert_eq!(parse(text.as_bytes()).expect("a form"), value);
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&bytes));
        }

        #[test]
        fn no_names_break_it(text in "[a\\[\\]=&0-9]{0,60}") {
            drop(parse(text.as_bytes()));
        }
    }
}
