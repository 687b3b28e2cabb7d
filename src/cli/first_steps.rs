//! What `serve` says once it listens: where, who answers, and lines to paste that lead to the first answer.

use super::process::Process;
use crate::config::{AppEnv, OtpDelivery, Settings};

pub(super) fn text(settings: &Settings, base: &str, process: &Process, no_worker: bool) -> String {
    let mut lines = vec![format!("gemini-backend listens on {base} (its description: {base}/docs)")];
    if no_worker {
        lines.push("Replies are written by `gemini-backend worker` processes on the same database.".to_owned());
    } else if process.sandbox.is_some() {
        lines.push("Answers come from the built-in sandbox until GEMINI_API_KEY is set.".to_owned());
    }
    if let Some(shop) = &process.shop {
        lines.push(format!("Pro is sold by the built-in Stripe sandbox, {shop}, until STRIPE_SECRET_KEY is set."));
    }
    if settings.server.env == AppEnv::Development && matches!(settings.auth.otp_delivery, OtpDelivery::Response) {
        lines.push(format!("To try it, paste into another terminal:\n\n{}", steps(base)));
    }
    lines.push("Ctrl-C stops it.".to_owned());
    lines.join("\n")
}

/// A number, a code, a room, a message and its answer, with curl and what every shell has.
fn steps(base: &str) -> String {
    format!(
        r#"base={base}
post() {{ curl -s "$base$1" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d "$2"; }}
pick() {{ grep -o "\"$1\":\"[^\"]*" | head -n 1 | cut -d '"' -f 4; }}
otp=$(post /auth/send-otp '{{"mobile": "+919876543210"}}' | pick otp)
token=$(post /auth/verify-otp "{{\"mobile\": \"+919876543210\", \"otp\": \"$otp\"}}" | pick access_token)
room=$(post /chatroom '{{"name": "My room"}}' | pick id)
post "/chatroom/$room/message" '{{"content": "Hello, my name is Ada."}}'; echo
read_room() {{ curl -s "$base/chatroom/$room/messages" -H "Authorization: Bearer $token"; }}
until read_room | grep -qE '"(complete|failed)"'; do sleep 0.3; done; read_room; echo
"#
    )
}
