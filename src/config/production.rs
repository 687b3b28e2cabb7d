//! What production refuses: whatever would be fine on a laptop and a hole on the internet.

use secrecy::ExposeSecret;

use super::reader::Reader;
use super::sample::{is_sample, weakness};
use super::{OtpDelivery, Settings, auth, delivery, gemini, stripe};

/// Adds a problem for each.
pub(super) fn refuse_unsafe(reader: &mut Reader<'_>, settings: &Settings) {
    refuse_secrets(reader, settings);
    let name = delivery::OTP_DELIVERY.name;
    match settings.auth.otp_delivery {
        _ if !reader.is_set(&delivery::OTP_DELIVERY) => {
            reader.problem(name, "is missing: production needs twilio or webhook");
        }
        OtpDelivery::Response => {
            reader.problem(name, "response hands the code to whoever asks; production refuses it");
        }
        // Also what an unfinished sender falls back to, which was told already.
        OtpDelivery::Log if reader.says(&delivery::OTP_DELIVERY, "log") => {
            reader.problem(name, "log writes codes where many can read them; production refuses it");
        }
        OtpDelivery::Log | OtpDelivery::Twilio(_) | OtpDelivery::Webhook { .. } => {}
    }
    if settings.auth.allow_otp_in_response {
        reader.note("ALLOW_OTP_IN_RESPONSE: has no effect, codes are sent".to_owned());
    }
    if settings.server.cors_allowed_origins.iter().any(|origin| origin == "*") {
        reader.problem("CORS_ALLOWED_ORIGINS", "lets every web page call; production refuses *");
    }
}

fn refuse_secrets(reader: &mut Reader<'_>, settings: &Settings) {
    let secret = auth::SECRET_KEY.name;
    if settings.auth.secret_keys.is_empty() && reader.is_missing(&auth::SECRET_KEY) {
        reader.problem(secret, "is missing: production needs 32 random bytes or more (`openssl rand -hex 32`)");
    }
    for (place, key) in settings.auth.secret_keys.iter().enumerate() {
        if let Some(weakness) = weakness(key.expose_secret()) {
            let which =
                if settings.auth.secret_keys.len() > 1 { format!("(number {}) ", place + 1) } else { String::new() };
            reader.problem(
                secret,
                format!("{which}{weakness}; production refuses it (`openssl rand -hex 32` makes one)"),
            );
        }
    }
    for secret in [&stripe::SECRET_KEY, &stripe::WEBHOOK_SECRET] {
        if reader.holds_sample(secret) {
            reader.problem(secret.name, "is a sample's; production refuses it");
        }
    }
    if settings.stripe.is_configured() && settings.server.public_url.is_none() && settings.stripe.success_url.is_none()
    {
        reader.problem("PUBLIC_URL", "is missing: checkout has to lead back (or STRIPE_SUCCESS_URL says where)");
    }
    delivery::refuse_samples(reader, &settings.auth.otp_delivery);
    let key = gemini::API_KEY.name;
    let sample = settings.gemini.api_key.as_ref().is_some_and(|key| is_sample(key.expose_secret()));
    if sample || settings.gemini.is_sandbox() && !reader.is_missing(&gemini::API_KEY) {
        reader.problem(key, "is a sample's; production refuses it");
    } else if settings.gemini.is_sandbox() && reader.is_missing(&gemini::BASE_URL) {
        reader
            .problem(key, "is missing: production refuses the built-in sandbox (GEMINI_BASE_URL names another server)");
    }
}
