//! Signing in, as a phone does it.

mod access;
mod codes;
mod cookies;
pub(crate) mod delivery;
mod numbers;
mod passwords;
mod profile;
mod refresh;
mod sessions;
mod signup;
mod spending;
mod suspension;
mod sweep;
mod texts;

use serde_json::{Value, json};

use crate::harness::{Answer, Call, TestApp};

/// A number that is valid in India.
pub(crate) const ADA: &str = "9876543210";
pub(crate) const BOB: &str = "9876543211";

impl TestApp {
    /// A body sent to a path of sign-in by nobody in particular.
    pub(crate) async fn tell(&self, path: &str, body: Value) -> Answer {
        self.post(path).json(&body).send().await
    }

    /// Asks for a code and reads it from the answer.
    pub(crate) async fn code(&self, mobile: &str, purpose: &str) -> String {
        let sent = self.tell("/auth/send-otp", json!({"mobile": mobile, "purpose": purpose})).await.expect(200);
        sent.json()["otp"].as_str().expect("a code in the answer").to_owned()
    }

    pub(crate) async fn verify(&self, mobile: &str, otp: &str) -> Answer {
        self.tell("/auth/verify-otp", json!({"mobile": mobile, "otp": otp})).await
    }

    /// Signs in by code, for a token pair.
    pub(crate) async fn sign_in(&self, mobile: &str) -> Tokens {
        let otp = self.code(mobile, "login").await;
        Tokens::of(&self.verify(mobile, &otp).await.expect(200))
    }

    pub(crate) async fn obtain(&self, mobile: &str, password: &str) -> Answer {
        self.tell("/auth/token/obtain", json!({"mobile": mobile, "password": password})).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.tell("/auth/token/refresh", json!({"refresh_token": token})).await
    }

    /// Signs in where the service lives under a base path.
    pub(crate) async fn sign_in_under(&self, base: &str, mobile: &str) -> Tokens {
        let sent = self.tell(&format!("{base}/auth/send-otp"), json!({"mobile": mobile})).await.expect(200);
        let body = json!({"mobile": mobile, "otp": sent.json()["otp"]});
        Tokens::of(&self.tell(&format!("{base}/auth/verify-otp"), body).await.expect(200))
    }

    /// A request with an access token.
    pub(crate) fn as_user(&self, tokens: &Tokens, method: &str, path: &str) -> Call {
        self.call(method, path).bearer(&tokens.access)
    }

    pub(crate) async fn me(&self, tokens: &Tokens) -> Answer {
        self.as_user(tokens, "GET", "/user/me").send().await
    }

    /// Somebody with a password.
    pub(crate) async fn sign_up_with(&self, mobile: &str, password: &str) -> Tokens {
        let signup = self.tell("/auth/signup", json!({"mobile": mobile, "password": password})).await.expect(201);
        let otp = self.code(mobile, "signup").await;
        let token = signup.json()["signup_token"].clone();
        let body = json!({"mobile": mobile, "otp": otp, "signup_token": token});
        Tokens::of(&self.tell("/auth/verify-otp", body).await.expect(200))
    }
}

/// What signing in gave.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) session: String,
    pub(crate) user: Value,
}

impl Tokens {
    pub(crate) fn of(answer: &Answer) -> Self {
        let pair = answer.json();
        let text = |name: &str| pair[name].as_str().unwrap_or_else(|| panic!("no {name} in {pair}")).to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
            session: text("session_id"),
            user: pair["user"].clone(),
        }
    }
}

/// A code that is not this one.
pub(crate) fn other_than(otp: &str) -> String {
    let number: u32 = otp.parse().expect("six digits");
    format!("{:06}", (number + 1) % 1_000_000)
}

/// Runs the same call many times at once.
pub(crate) async fn at_once<F: Future<Output = Answer>>(times: usize, call: impl Fn(usize) -> F) -> Vec<Answer> {
    futures_util::future::join_all((0..times).map(call)).await
}

/// How many of the answers carry this problem; an empty word counts successes.
pub(crate) fn count(answers: &[Answer], code: &str) -> usize {
    let word = |answer: &Answer| if answer.status < 300 { String::new() } else { answer.code() };
    answers.iter().filter(|answer| word(answer) == code).count()
}
