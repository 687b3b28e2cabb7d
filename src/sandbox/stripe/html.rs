//! The sandbox's pages: plain HTML, forms without script, readable on a phone.

use std::fmt::Write;

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1a1f36;--soft:#697386;--line:#d8dee8;--back:#f4f6fa;--card:#fff;--lead:#5469d4}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9f2;--soft:#9aa4b8;--line:#343b4d;--back:#12151d;--card:#1b2030;--lead:#8a9bff}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:30rem;margin:0 auto;padding:1.25rem 1rem 3rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.25rem;margin:1rem 0}
.label{display:inline-block;background:#ffde92;color:#5b3d00;border-radius:4px;padding:0 .5rem;font-size:.75rem;font-weight:700}
h1{font-size:1.1rem;margin:.5rem 0 0;font-weight:500;overflow-wrap:anywhere}h2{font-size:1rem;margin:0 0 .5rem}
.price{font-size:2rem;font-weight:700}.soft{color:var(--soft);font-size:.9rem;overflow-wrap:anywhere}
.note{border-left:4px solid #c8323c;padding:.5rem .75rem;background:var(--card)}
button,.button{display:block;width:100%;min-height:48px;margin:.6rem 0;padding:.6rem 1rem;border:1px solid var(--line);
border-radius:8px;background:var(--card);color:var(--ink);font:inherit;text-align:center;text-decoration:none;cursor:pointer}
.lead{background:var(--lead);border-color:var(--lead);color:#fff;font-weight:600}
@media(prefers-color-scheme:dark){.lead{color:#12151d}}
table{width:100%;border-collapse:collapse}td{padding:.4rem 0;border-top:1px solid var(--line)}td:last-child{text-align:right}";

/// Text as it may stand in HTML, in attributes too.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A whole page around its body.
pub(super) fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let title = escape(title);
    let text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><main><span class=\"label\">TEST MODE</span>{body}\
         <p class=\"soft\">The sandbox stands in for Stripe: no card is asked for, and no money moves.</p>\
         </main></body></html>\n"
    );
    // The pages have forms but no script, and nobody frames them.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
    (status, [(header::CONTENT_SECURITY_POLICY, policy), (header::CACHE_CONTROL, "no-store")], Html(text))
        .into_response()
}

/// A form of one button.
pub(super) fn button(action: &str, fields: &[(&str, &str)], label: &str, is_lead: bool) -> String {
    let mut form = format!("<form method=\"post\" action=\"{}\">", escape(action));
    for (name, value) in fields {
        // Writing to a String cannot fail.
        let _ = write!(form, "<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(name), escape(value));
    }
    let class = if is_lead { " class=\"lead\"" } else { "" };
    let _ = write!(form, "<button{class}>{}</button></form>", escape(label));
    form
}

pub(super) fn note(message: Option<&str>) -> String {
    message.map(|message| format!("<p class=\"note\" role=\"alert\">{}</p>", escape(message))).unwrap_or_default()
}

/// `INR 499.00`.
pub(super) fn money(amount: i64, currency: &str) -> String {
    // https://docs.stripe.com/currencies#zero-decimal
    const WHOLE: &[&str] = &[
        "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf",
    ];
    let name = currency.to_uppercase();
    if WHOLE.contains(&currency) {
        return format!("{name} {amount}");
    }
    format!("{name} {}.{:02}", amount / 100, amount % 100)
}

/// `2026-11-25`.
pub(super) fn date(at: i64) -> String {
    time::OffsetDateTime::from_unix_timestamp(at).map_or_else(|_| at.to_string(), |at| at.date().to_string())
}

/// Sends the browser on after a form.
pub(super) fn see_other(url: &str) -> Response {
    // An address that is no header's text was refused when the session was made.
    let location = axum::http::HeaderValue::from_str(url).unwrap_or(axum::http::HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a href='x' \"&>"), "&lt;a href=&#39;x&#39; &quot;&amp;&gt;");
        assert_eq!(button("/x\"", &[("a", "<b>")], "<i>", false).matches(['<', '>']).count(), 10);
    }

    #[test]
    fn money_has_the_currencys_decimals() {
        assert_eq!(
            (money(49_900, "inr"), money(5, "usd"), money(500, "jpy")),
            ("INR 499.00".into(), "USD 0.05".into(), "JPY 500".into())
        );
    }
}
