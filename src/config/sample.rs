//! Telling sample secrets from real ones: what stands in a tutorial's `.env` protects nothing and opens nothing.

/// Words that samples begin with, cut at everything but letters and digits.
const MARKS: [&str; 9] =
    ["dummy", "changeme", "changethis", "placeholder", "yoursecret", "yourkey", "yourapi", "insecure", "replaceme"];
/// A text made of nothing but these says "put a secret here".
const FILLER: [&str; 44] = [
    "a",
    "api",
    "app",
    "auth",
    "backend",
    "change",
    "default",
    "dev",
    "development",
    "django",
    "example",
    "fake",
    "flask",
    "for",
    "gemini",
    "google",
    "here",
    "in",
    "insecure",
    "it",
    "jwt",
    "key",
    "local",
    "me",
    "mysecret",
    "mysecretkey",
    "my",
    "password",
    "pk",
    "production",
    "replace",
    "sample",
    "secret",
    "secretkey",
    "sk",
    "super",
    "supersecret",
    "supersecretkey",
    "test",
    "testing",
    "the",
    "this",
    "token",
    "very",
];
/// Fewer different characters than this are not random.
const LEAST_VARIETY: usize = 8;

/// Whether this is a sample's text, like `sk_test_dummykey`, `your-secret-key` or `<secret>`.
pub(super) fn is_sample(secret: &str) -> bool {
    let lower = secret.to_ascii_lowercase();
    if lower.starts_with('<') && lower.ends_with('>') || lower.starts_with("django-insecure-") {
        return true;
    }
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.first() == Some(&"your")
        || words.iter().any(|word| MARKS.iter().any(|mark| word.starts_with(mark)))
        || words.iter().all(|word| FILLER.contains(word) || is_run(word))
}

/// `xxxx`, `000`, `1234`: the same again, or counting.
fn is_run(word: &str) -> bool {
    let bytes = word.as_bytes();
    let step = |by: u8| bytes.windows(2).all(|pair| pair[0].checked_add(by) == Some(pair[1]));
    step(0) || step(1)
}

/// Why a secret is too weak to sign with, if it is: RFC 7518 wants 32 bytes for HS256.
pub(super) fn weakness(secret: &str) -> Option<&'static str> {
    let different: std::collections::BTreeSet<char> = secret.chars().collect();
    if is_sample(secret) {
        Some("is a sample's")
    } else if secret.len() < 32 {
        Some("is shorter than 32 bytes")
    } else if different.len() < LEAST_VARIETY {
        Some("repeats a few characters")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn samples_are_known_as_such() {
        for sample in [
            "sk_test_dummykey",
            "dummy-gemini-api-key",
            "your-secret-key",
            "your_gemini_api_key_here",
            "changeme",
            "change-me-in-production",
            "secret",
            "supersecretkey",
            "<your key>",
            "django-insecure-4x!9$abcdefghijklmnopqrstuvwxyz",
            "xxxxxxxx",
            "sk_test_1234",
            "test",
            "",
        ] {
            assert!(is_sample(sample), "{sample}");
        }
    }

    #[test]
    fn real_ones_are_not() {
        for real in
            ["AIzaSyD4kq81mZ0Vtx7", "AQ.Ab8RN6Lk2", "sk_test_51Kq2LmSExk29", "9f2c4be1d07a6358", "tr0ub4dor&3-horse"]
        {
            assert!(!is_sample(real), "{real}");
        }
    }

    #[test]
    fn weak_secrets_are_told_why() {
        assert_eq!(weakness("tr0ub4dor&3-horse"), Some("is shorter than 32 bytes"));
        assert_eq!(weakness(&"abcq".repeat(10)), Some("repeats a few characters"));
        assert_eq!(weakness("0b7e6f19c2d84a53b1f0e9d8c7a65432"), None);
    }

    proptest! {
        #[test]
        fn random_bytes_in_hex_are_taken(bytes in prop::array::uniform32(any::<u8>())) {
            let text = hex::encode(bytes);
            prop_assume!(text.chars().collect::<std::collections::BTreeSet<_>>().len() > 8);
            prop_assert_eq!(weakness(&text), None);
        }
    }
}
