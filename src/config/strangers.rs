//! Names that set nothing here: those of older systems and of later versions are told why, unknown ones in `.env` that
//! they are unknown.

use std::collections::BTreeMap;

use super::environment::Environment;
use super::reader::Reader;
use super::{all_settings, database, redis};

const QUEUE: &str = "not needed, the queue lives in the database";

/// Name, and why it is not read. A `*` at the end stands for any rest.
const KNOWN: [(&str, &str); 16] = [
    ("CELERY_*", QUEUE),
    ("BULL_*", QUEUE),
    ("DEBUG", "not needed, APP_ENV says what is shown and allowed"),
    ("NODE_ENV", "not needed, APP_ENV says what is shown and allowed"),
    ("FLASK_*", "not needed, APP_ENV says what is shown and allowed"),
    ("DJANGO_SETTINGS_MODULE", "not needed, settings are read from the environment and .env"),
    ("DJANGO_*", "not needed, settings are read from the environment and .env"),
    ("ALGORITHM", "not needed, tokens are signed with HS256, or EdDSA by JWT_PRIVATE_KEY"),
    ("JWT_ALGORITHM", "not needed, tokens are signed with HS256, or EdDSA by JWT_PRIVATE_KEY"),
    ("STRIPE_PUBLISHABLE_KEY", "not needed, checkout happens on Stripe's page"),
    ("STRIPE_BASIC_PRODUCT_ID", "not needed, Basic is free"),
    ("STRIPE_PRO_PRODUCT_ID", "not needed, the price says which product"),
    ("TWILIO_*", "not needed, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM say it"),
    ("POSTGRES_*", "not needed, DATABASE_URL says it"),
    ("REDIS_*", "not needed, REDIS_URL says it"),
    ("PYTHON*", "not needed, this is no Python program"),
];

/// Names every stranger once.
pub(super) fn name_them(reader: &mut Reader<'_>, environment: &Environment) {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for name in environment.names() {
        if is_ours(reader, name) {
            continue;
        }
        match reason(name) {
            // Without the file's word, a name like PYTHONPATH belongs to the machine.
            Some(reason) if !is_of_the_machine(name) || environment.is_in_file(name) => {
                reasons.entry(reason).or_default().push(name.to_owned());
            }
            None if environment.is_in_file(name) => {
                reader.note(format!("{name} in .env: not a setting of this program{}", suggestion(name)));
            }
            _ => {}
        }
    }
    for (reason, names) in reasons {
        reader.note(format!("{}: {reason}", names.join(", ")));
    }
    for number in environment.bad_lines() {
        reader.problem(".env", format!("line {number} is not NAME=value"));
    }
}

fn is_ours(reader: &Reader<'_>, name: &str) -> bool {
    let part = database::PARTS.contains(&name) || redis::PARTS.contains(&name);
    all_settings().any(|setting| setting.name == name || setting.older.contains(&name))
        || part && reader.used.contains(&name)
}

fn reason(name: &str) -> Option<&'static str> {
    let fits = |known: &str| known.strip_suffix('*').map_or(known == name, |start| name.starts_with(start));
    KNOWN.iter().find(|(known, _)| fits(known)).map(|(_, reason)| *reason)
}

fn is_of_the_machine(name: &str) -> bool {
    name.starts_with("PYTHON") || name == "NODE_ENV" || name == "DEBUG"
}

fn suggestion(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    let near = all_settings().map(|setting| (distance(&upper, setting.name), setting.name)).min();
    near.filter(|(distance, _)| *distance <= 2).map_or_else(String::new, |(_, near)| format!(" (did you mean {near}?)"))
}

/// How many letters differ (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_suggested() {
        assert_eq!(suggestion("GEMINI_APIKEY"), " (did you mean GEMINI_API_KEY?)");
        assert_eq!(suggestion("secret_key"), " (did you mean SECRET_KEY?)");
        assert_eq!(suggestion("SENDGRID_FROM"), "");
    }
}
