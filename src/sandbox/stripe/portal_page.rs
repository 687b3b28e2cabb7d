//! The page of a portal session, `/p/session/{id}`: a customer's subscriptions, invoices and card.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::customers::{Card, Customer};
use super::invoice::{self, Invoice};
use super::portal::Portal;
use super::subscription::{Status, Subscription};
use super::world::World;
use super::{Sandbox, html};

pub(super) fn router() -> Router<Arc<Sandbox>> {
    Router::new().route("/p/session/{id}", get(show).post(act))
}

#[derive(Deserialize)]
struct Chosen {
    action: Action,
    #[serde(default)]
    subscription: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    CancelAtPeriodEnd,
    /// Takes the end back, or ends a pause.
    Resume,
    CancelNow,
    GoodCard,
    DecliningCard,
}

async fn show(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>) -> Response {
    sandbox.with(|world| page(world, &id))
}

async fn act(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>, Form(chosen): Form<Chosen>) -> Response {
    let is_done = sandbox.with(|world| {
        let Some(portal) = world.portals.get(&id).cloned() else { return false };
        perform(world, &portal, &chosen);
        true
    });
    if is_done { html::see_other(&format!("/p/session/{id}")) } else { sandbox.with(|world| page(world, &id)) }
}

fn perform(world: &mut World, portal: &Portal, chosen: &Chosen) {
    let id = &chosen.subscription;
    let status = world.subscriptions.get(id).filter(|it| it.customer == portal.customer).map(|it| it.status);
    match (chosen.action, status) {
        (Action::GoodCard, _) => {
            world.change::<Customer>(&portal.customer, "customer.updated", |customer| customer.card = Card::Good);
            pay_what_is_open(world, &portal.customer);
        }
        (Action::DecliningCard, _) => {
            world.change::<Customer>(&portal.customer, "customer.updated", |customer| customer.card = Card::Declining);
        }
        (_, None | Some(Status::Canceled | Status::IncompleteExpired)) => {}
        (Action::CancelAtPeriodEnd, _) => world.cancel_at_period_end(id, true),
        (Action::Resume, Some(Status::Paused)) => world.resume(id),
        (Action::Resume, _) => world.cancel_at_period_end(id, false),
        (Action::CancelNow, _) => world.cancel(id, "cancellation_requested"),
    }
}

/// A new card is tried at once for what is still owed.
fn pay_what_is_open(world: &mut World, customer: &str) {
    let is_open = |invoice: &&Invoice| invoice.customer == customer && invoice.status == invoice::Status::Open;
    let open: Vec<String> = world.invoices.iter().filter(is_open).map(|invoice| invoice.id.clone()).collect();
    for invoice in open {
        world.collect(&invoice);
    }
}

fn page(world: &mut World, id: &str) -> Response {
    let Some(portal) = world.portals.get(id) else {
        let body = "<div class=\"card\"><h2>There is no such portal session.</h2></div>";
        return html::page(StatusCode::NOT_FOUND, "Billing", body);
    };
    let mut body = "<h1>Your subscription</h1>".to_owned();
    let path = format!("/p/session/{id}");
    for subscription in world.subscriptions.iter().rev().filter(|it| it.customer == portal.customer) {
        body += &card_of(subscription, &path);
    }
    body += &means(world, portal, &path);
    body += &invoices(world, portal);
    if let Some(url) = &portal.return_url {
        // Writing to a String cannot fail.
        let _ = write!(body, "<a class=\"button\" href=\"{}\">Back</a>", html::escape(url));
    }
    html::page(StatusCode::OK, "Billing", &body)
}

fn card_of(subscription: &Subscription, path: &str) -> String {
    let button = |action: &str, label: &str| {
        html::button(path, &[("action", action), ("subscription", &subscription.id)], label, false)
    };
    let end = html::date(subscription.period_end);
    let (line, buttons) = match subscription.status {
        Status::Canceled | Status::IncompleteExpired => (String::new(), String::new()),
        Status::Paused => ("paused".to_owned(), button("resume", "Resume") + &button("cancel_now", "Cancel now")),
        _ if subscription.cancel_at_period_end => {
            (format!("ends on {end}"), button("resume", "Do not cancel") + &button("cancel_now", "Cancel now"))
        }
        _ => (
            format!("renews on {end}"),
            button("cancel_at_period_end", "Cancel at the end of the period") + &button("cancel_now", "Cancel now"),
        ),
    };
    format!(
        "<div class=\"card\"><h2>{}</h2><div>{} per {}</div><div class=\"soft\">{} · {line}</div>{buttons}</div>",
        html::escape(&subscription.price.name),
        html::money(subscription.amount(), &subscription.price.currency),
        subscription.price.interval.word(),
        subscription.status.word().replace('_', " "),
    )
}

fn means(world: &World, portal: &Portal, path: &str) -> String {
    let card = world.customers.get(&portal.customer).map_or(Card::None, |customer| customer.card);
    let line = match card {
        Card::None => "no card",
        Card::Good => "Visa •••• 4242",
        Card::Declining => "Visa •••• 0002, which is declined",
    };
    let good = html::button(path, &[("action", "good_card")], "Use a card that works", false);
    let declining = html::button(path, &[("action", "declining_card")], "Use a card that is declined", false);
    format!("<div class=\"card\"><h2>Payment method</h2><div class=\"soft\">{line}</div>{good}{declining}</div>")
}

fn invoices(world: &World, portal: &Portal) -> String {
    let theirs = world.invoices.iter().rev().filter(|invoice| invoice.customer == portal.customer).take(24);
    let mut rows = String::new();
    for invoice in theirs {
        let (date, money) = (html::date(invoice.created), html::money(invoice.amount, &invoice.price.currency));
        // Writing to a String cannot fail.
        let _ = write!(rows, "<tr><td>{date}</td><td>{money}</td><td>{}</td></tr>", invoice.status.word());
    }
    format!("<div class=\"card\"><h2>Invoices</h2><table>{rows}</table></div>")
}
