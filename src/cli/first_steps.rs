//! What `serve` says once it listens: where, who answers, and lines to paste that lead to the first answer.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::{AppEnv, OtpDelivery, Server, Settings};

/// The address that a person on this machine reaches the server by.
pub(super) fn base(server: &Server, listening: SocketAddr) -> String {
    let mut address = listening;
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        SocketAddr::V4(_) | SocketAddr::V6(_) => {}
    }
    let path = server.public_url.as_ref().map_or("", |url| url.path().trim_end_matches('/'));
    format!("http://{address}{path}")
}

pub(super) fn text(settings: &Settings, base: &str, is_sandbox: bool, no_worker: bool) -> String {
    let mut lines = vec![format!("gemini-backend listens on {base} (its description: {base}/docs)")];
    if no_worker {
        lines.push("Replies are written by `gemini-backend worker` processes on the same database.".to_owned());
    } else if is_sandbox {
        lines.push("Answers come from the built-in sandbox until GEMINI_API_KEY is set.".to_owned());
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
