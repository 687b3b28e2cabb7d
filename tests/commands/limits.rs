//! What counts against a number is in the database: no restart gives it back, gentle or not.

use serde_json::{Value, json};

use crate::beside::Beside;
use crate::client::Client;

const ADA: &str = "+919876543210";

/// Asks for a code; the status, and the code or the word of the refusal.
async fn code(beside: &Beside) -> (u16, String) {
    let (status, sent) = Client::new(beside.server.base()).post("/auth/send-otp", &json!({"mobile": ADA})).await;
    let told = [&sent["otp"], &sent["code"]].into_iter().find_map(Value::as_str);
    (status, told.unwrap_or_else(|| panic!("neither code nor refusal in {sent}")).to_owned())
}

/// Tries a code; the word of the refusal, and how many tries are left.
async fn refused(beside: &Beside, otp: &str) -> (String, Option<i64>) {
    let body = json!({"mobile": ADA, "otp": otp});
    let (status, refusal) = Client::new(beside.server.base()).post("/auth/verify-otp", &body).await;
    assert!(status >= 400, "{refusal}");
    (refusal["code"].as_str().expect("a word").to_owned(), refusal["attempts_left"].as_i64())
}

fn other_than(otp: &str) -> String {
    let number: u32 = otp.parse().expect("six digits");
    format!("{:06}", (number + 1) % 1_000_000)
}

#[tokio::test]
async fn codes_that_were_sent_to_a_number_count_after_a_restart() {
    let mut beside = Beside::start().await;
    for is_gentle in [true, false] {
        for _ in 0..2 {
            assert_eq!(code(&beside).await.0, 200);
        }
        beside = beside.again(is_gentle);
    }
    assert_eq!(code(&beside).await.0, 200);
    for is_gentle in [true, false] {
        beside = beside.again(is_gentle);
        assert_eq!(code(&beside).await, (429, "rate_limited".to_owned()), "the sixth in ten minutes");
    }
    beside.end().await;
}

#[tokio::test]
async fn wrong_tries_at_a_code_and_at_a_number_count_after_a_restart() {
    let mut beside = Beside::with(&[("VERIFY_FAILURES_PER_ADDRESS", "1000")]).await;
    for is_gentle in [true, false, true, false] {
        let (_, otp) = code(&beside).await;
        for left in (0..5).rev() {
            if left == 2 {
                beside = beside.again(is_gentle);
            }
            assert_eq!(refused(&beside, &other_than(&otp)).await, ("otp_invalid".to_owned(), Some(left)));
        }
        assert_eq!(refused(&beside, &otp).await.0, "otp_attempts_exhausted", "five at one code");
    }
    let (_, otp) = code(&beside).await;
    beside = beside.again(false);
    assert_eq!(refused(&beside, &otp).await.0, "otp_attempts_exhausted", "twenty at one number in a day");
    beside.end().await;
}
