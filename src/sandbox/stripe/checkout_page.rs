//! The page of a checkout session, `/c/pay/{session}`: buttons for all that may happen there.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::checkout::{Session, Status};
use super::pay::{Action, Outcome};
use super::{Sandbox, html};

pub(super) fn router() -> Router<Arc<Sandbox>> {
    Router::new().route("/c/pay/{session}", get(show).post(act))
}

#[derive(Deserialize)]
struct Chosen {
    action: Action,
}

async fn show(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>) -> Response {
    page(&sandbox, &id, None)
}

async fn act(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>, Form(chosen): Form<Chosen>) -> Response {
    match sandbox.with(|world| world.act(&id, chosen.action)) {
        Some(Outcome::Leaves(url)) => html::see_other(&url),
        Some(Outcome::Stays(message)) => page(&sandbox, &id, Some(message)),
        None => page(&sandbox, &id, None),
    }
}

fn page(sandbox: &Sandbox, id: &str, message: Option<&str>) -> Response {
    let Some(session) = sandbox.with(|world| world.sessions.get(id).cloned()) else {
        let body = "<div class=\"card\"><h2>There is no such checkout session.</h2></div>";
        return html::page(StatusCode::NOT_FOUND, "Checkout", body);
    };
    let body = format!("{}{}{}", header(&session), html::note(message), choices(&session));
    html::page(StatusCode::OK, "Checkout", &body)
}

fn header(session: &Session) -> String {
    let price = &session.price;
    let each = html::money(session.amount(), &price.currency);
    let today = html::money(session.due_today(), &price.currency);
    format!(
        "<div class=\"card\"><h1>Subscribe to {}</h1><div class=\"price\">{each}</div>\
         <div class=\"soft\">per {} · due today: {today}</div></div>",
        html::escape(&price.name),
        price.interval.word(),
    )
}

fn choices(session: &Session) -> String {
    match session.status {
        Status::Complete => {
            let link = html::escape(&session.success());
            return format!(
                "<div class=\"card\"><h2>This is paid.</h2><a class=\"button\" href=\"{link}\">Go on</a></div>"
            );
        }
        Status::Expired => {
            let back = session.cancel_url.as_deref().map(html::escape);
            let back = back.map(|url| format!("<a class=\"button\" href=\"{url}\">Back</a>")).unwrap_or_default();
            return format!("<div class=\"card\"><h2>This session has expired.</h2>{back}</div>");
        }
        Status::Open => {}
    }
    let path = format!("/c/pay/{}", session.id);
    let button = |action: &str, label: &str, is_lead| html::button(&path, &[("action", action)], label, is_lead);
    let mut buttons = button("pay", "Pay with a card", true)
        + &button("decline", "Pay with a card that is declined", false)
        + &button("delayed", "Pay by bank debit: the money comes later", false)
        + &button("delayed_failure", "Pay by bank debit: the money never comes", false);
    if session.cancel_url.is_some() {
        buttons += &button("cancel", "Back", false);
    }
    format!("<div class=\"card\">{buttons}</div>")
}
