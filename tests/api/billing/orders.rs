//! Whatever order the news comes in, and whatever happens to the looks that follow: the end is what Stripe says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::iter;
use gemini_backend::sandbox::stripe::{Action, Card, Ended, Fault, Rule, Status};
use gemini_backend::{execute, fetch_all, transaction};
use serde_json::{Value, json};

use crate::harness::shop::event;
use crate::harness::{Person, TestApp, until};

const KINDS: [(&str, &str); 6] = [
    ("customer.subscription.created", "subscription"),
    ("checkout.session.completed", "checkout.session"),
    ("invoice.paid", "invoice"),
    ("customer.subscription.updated", "subscription"),
    ("invoice.payment_failed", "invoice"),
    ("customer.subscription.deleted", "subscription"),
];

/// All orders of six things.
fn orders() -> Vec<[usize; 6]> {
    fn extend(begun: &[usize], all: &mut Vec<[usize; 6]>) {
        if let Ok(order) = <[usize; 6]>::try_from(begun) {
            all.push(order);
            return;
        }
        for next in (0..6).filter(|next| !begun.contains(next)) {
            extend(&[begun, &[next]].concat(), all);
        }
    }
    let mut all = Vec::new();
    extend(&[], &mut all);
    all
}

/// Somebody with a subscription at Stripe that nobody was told of.
struct Subscriber<'a> {
    person: Person<'a>,
    customer: String,
    subscription: String,
}

impl<'a> Subscriber<'a> {
    async fn new(app: &'a TestApp) -> Self {
        let person = app.sign_up().await;
        let form = [("metadata[user_id]", person.id.as_str()), ("phone", "+919876543210")];
        let text = |value: &Value| value["id"].as_str().expect("an id").to_owned();
        let customer = text(&app.stripe("POST", "customers", &form).await);
        assert!(app.shop().set_card(&customer, Card::Good));
        let form = [
            ("customer", customer.as_str()),
            ("items[0][price]", "price_sandbox_pro"),
            ("metadata[user_id]", person.id.as_str()),
        ];
        let subscription = text(&app.stripe("POST", "subscriptions", &form).await);
        let known = transaction!(app.app.store, |tx| {
            execute!(
                tx,
                "insert into billing_accounts (user_id, customer, customers_made, granted, fetch_seq, applied_seq)
                 values ($1, $2, 1, false, 0, 0)",
                person.user,
                &customer
            )
        });
        known.expect("an account");
        Self { person, customer, subscription }
    }

    /// The subscription's next step at Stripe; the last one is the end, for every other subscriber.
    fn advance(&self, step: usize, number: usize) {
        let shop = self.person.app.shop();
        let status = match step {
            0 | 2 | 4 => Status::Active,
            1 => Status::PastDue,
            3 => Status::Unpaid,
            _ if number.is_multiple_of(2) => Status::Canceled,
            _ => Status::PastDue,
        };
        assert!(shop.set_status(&self.subscription, status));
    }

    fn news(&self, number: usize, which: usize) -> Value {
        let (kind, object) = KINDS[which];
        let about = json!({"id": self.subscription, "object": object, "customer": self.customer});
        event(&format!("evt_{number}_{which}"), kind, about)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_of_a_lifecycle_ends_in_what_stripe_says() {
    let app = TestApp::selling().await;
    app.block_webhooks();
    // A second worker on the same queue.
    let other = app.reset(|_| {}).await;
    other.work();
    let subscribers: Vec<Subscriber<'_>> =
        iter(0..720).map(|_| Subscriber::new(&app)).buffer_unordered(8).collect().await;
    // Some looks fail: of the six that somebody's events can ask for, each takes two refusals without failing.
    for one in &subscribers[..20] {
        let mut rule = Rule::on("GET", "/v1/subscriptions?").times(13).refuse(Fault::of(503));
        rule.when.form = Some(one.customer.clone());
        app.shop().script(rule);
    }
    // And some answers come when newer ones were written already.
    let told = iter(subscribers.iter().zip(orders()).enumerate()).for_each_concurrent(
        16,
        |(number, (one, order))| async move {
            for (step, which) in order.into_iter().enumerate() {
                one.advance(step, number);
                app_tells(one, number, which).await;
                if (number + step).is_multiple_of(3) {
                    app_tells(one, number, which).await;
                }
            }
        },
    );
    let outrun = AtomicUsize::new(0);
    tokio::select! {
        () = told => {}
        () = hold_some_back(&app, &outrun) => {}
    }
    app.shop().clear_script();
    // Else this would only have shown that all goes well while all goes well.
    assert!(outrun.load(Relaxed) > 0, "no old answer came after a newer one was written");
    let faulty = "select count(*) from jobs where kind = 'stripe_event' and faults > 0";
    assert!(app.count(faulty).await > 0, "no look failed");
    // Looks that failed are due again a little later.
    while app.count("select count(*) from stripe_events where outcome = 'waiting'").await > 0 {
        app.shop().release();
        app.clock.advance(Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    app.settle().await;
    assert_eq!(app.count("select count(*) from stripe_events").await, 720 * 6);
    hold_against_stripe(&app, &subscribers).await;
}

/// Holds some answers back and lets them go again, ten times; counts those that are older than a look that was written
/// meanwhile. Two at a time: were they all that a client asks at once, nothing could be written meanwhile.
async fn hold_some_back(app: &TestApp, outrun: &AtomicUsize) {
    for _ in 0..10 {
        app.shop().script(Rule::on("GET", "/v1/subscriptions?").times(2).hold());
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if let Some(count) = outrun_while_held(app).await {
                outrun.fetch_add(count, Relaxed);
                break;
            }
        }
        app.shop().release();
    }
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        app.shop().release();
    }
}

/// Of the answers that are held now, how many look back behind one that was written since; None when none is held.
async fn outrun_while_held(app: &TestApp) -> Option<usize> {
    let held: Vec<_> = app.shop().journal().into_iter().filter(|entry| entry.end == Ended::Held).collect();
    if held.is_empty() {
        return None;
    }
    let mut outrun = 0;
    for _ in 0..40 {
        for entry in &held {
            // Its own number is lower than that of the last look that began, if that one was written.
            let (begun, written) = looks(app, entry.form["customer"].as_str().expect("a customer")).await;
            outrun += usize::from(begun == written);
        }
        if outrun > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Some(outrun)
}

/// The number of the last look that began, and of the last that was written.
async fn looks(app: &TestApp, customer: &str) -> (i64, i64) {
    let mut reader = app.app.store.read().await.expect("a connection");
    let sql = "select fetch_seq, applied_seq from billing_accounts where customer = $1";
    gemini_backend::fetch_one!(&mut reader, (i64, i64), sql, customer).expect("an account")
}

async fn app_tells(one: &Subscriber<'_>, number: usize, which: usize) {
    one.person.app.webhook(&one.news(number, which)).await.expect(200);
}

/// Plan and subscription of everybody are what Stripe says, and no change was written twice.
async fn hold_against_stripe(app: &TestApp, subscribers: &[Subscriber<'_>]) {
    let mut reader = app.app.store.read().await.expect("a connection");
    let sql = "select s.id, s.status, u.plan from subscriptions s join users u on u.id = s.user_id";
    let rows = fetch_all!(&mut reader, (String, String, String), sql).expect("rows");
    let known: BTreeMap<String, (String, String)> =
        rows.into_iter().map(|(id, status, plan)| (id, (status, plan))).collect();
    assert_eq!(known.len(), subscribers.len());
    for one in subscribers {
        let truth = app.shop().subscription(&one.subscription).expect("it is there");
        let status = truth["status"].as_str().expect("a word");
        let plan = if status == "past_due" { "pro" } else { "basic" };
        assert_eq!(known[&one.subscription], (status.to_owned(), plan.to_owned()), "{}", one.subscription);
    }
    let uncaused = app.count("select count(*) from billing_history where cause <> 'event' or cause_id is null").await;
    assert_eq!(uncaused, 0, "each change names the event that caused it");
    let doubled = app
        .count("select count(*) from (select 1 from billing_history group by user_id, what, cause_id having count(*) > 1) d")
        .await;
    assert_eq!(doubled, 0, "no event is the cause of one change twice");
}

#[tokio::test]
async fn an_old_answer_writes_over_no_newer_one() {
    let app = Arc::new(TestApp::selling().await);
    app.block_webhooks();
    let ada = app.sign_up().await;
    let session = ada.opens_checkout().await;
    app.shop().checkout(&session, Action::Pay).expect("the browser leaves");
    let customer = ada.customer().await;
    let about = json!({"id": "sub", "object": "subscription", "customer": customer});
    // The first look sees an active subscription, and its answer is late.
    app.shop().script(Rule::on("GET", "/v1/subscriptions?").hold());
    app.webhook(&event("evt_1", "invoice.paid", about.clone())).await.expect(200);
    let held = |entries: &[gemini_backend::sandbox::stripe::Entry]| {
        entries.iter().any(|entry| entry.end == gemini_backend::sandbox::stripe::Ended::Held)
    };
    app.shop().wait_until(held).await;
    let subs = app.stripe("GET", &format!("subscriptions?customer={customer}"), &[]).await;
    let sub = subs["data"][0]["id"].as_str().expect("an id").to_owned();
    assert!(app.shop().set_status(&sub, Status::Canceled));
    app.webhook(&event("evt_2", "customer.subscription.deleted", about)).await.expect(200);
    until("the newer look is written", async || (ada.stands().await.1 == "canceled").then_some(())).await;
    app.shop().release();
    app.settle().await;
    assert_eq!(ada.stands().await, ("basic".to_owned(), "canceled".to_owned()));
    assert_eq!(app.count("select count(*) from stripe_events where outcome = 'applied'").await, 2);
}
