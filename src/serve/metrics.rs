//! `/metrics`, as Prometheus reads it: what was counted where it happened, and what is looked up when asked for.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::health::{AsksNoToken, may_see};
use crate::app::App;
use crate::http::ApiError;
use crate::jobs;

const REQUESTS: &str = "http_requests_total";
const REQUEST_SECONDS: &str = "http_request_duration_seconds";
const JOBS: &str = "jobs";
const OLDEST_JOB_SECONDS: &str = "jobs_oldest_queued_seconds";
const HASHES: &str = "password_hashes_total";
const CONNECTIONS: &str = "database_connections";
/// From a cached list to a slow model.
const SECONDS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Figures of histograms wait in a list until they are sorted into buckets.
const SORT_EVERY: Duration = Duration::from_secs(5);

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(figures))
}

/// The process's recorder. The `metrics` macros write to one for all, so two apps in one process share it.
fn recorder() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets(&SECONDS).expect("there are buckets");
        let handle = builder.install_recorder().expect("nothing else installs a recorder");
        describe_counter!(REQUESTS, "Requests answered, by route, method and status");
        describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "Until the answer began, by route and method");
        describe_gauge!(JOBS, "Jobs in the queue, by state");
        describe_gauge!(OLDEST_JOB_SECONDS, Unit::Seconds, "How long the oldest queued job has waited");
        describe_counter!("replies_total", "Attempts at replies that came to an end, by outcome");
        describe_counter!("gemini_errors_total", "What Gemini answered instead of an answer, by code");
        describe_counter!("gemini_tokens_total", "Tokens as Gemini counted them, by kind");
        describe_histogram!("gemini_first_text_seconds", Unit::Seconds, "From the question to the first text");
        describe_histogram!("gemini_answer_seconds", Unit::Seconds, "From the question to the answer's end");
        describe_gauge!("gemini_model_known", "Whether Gemini has a model that the settings name");
        describe_gauge!("gemini_model_retiring", "Whether Gemini says that it will retire it");
        describe_counter!("stripe_events_total", "Stripe's events taken in, by source and outcome");
        describe_histogram!("stripe_call_seconds", Unit::Seconds, "Calls to Stripe, each try, by outcome");
        describe_counter!("billing_looks_total", "Looks at a customer's subscriptions, by cause and outcome");
        describe_counter!("billing_missed_total", "What no webhook had told: events and differences that a sync found");
        describe_counter!("sms_sent_total", "Tries to send a code's message, by outcome and country");
        describe_counter!(
            "sms_spent_micros_total",
            "Promised for codes, in millionths of SMS_PRICES' currency, by country"
        );
        describe_counter!("swept_rows_total", "Rows that retention removed, by table");
        describe_counter!(HASHES, "Passwords hashed or checked");
        describe_gauge!(CONNECTIONS, "Connections to the database, by state");
        handle
    })
}

/// What counts one kind of answer; looked up by its labels once, because that costs more than to count.
type Figures = (Counter, Histogram);

/// By method and status, then by route.
type Known = HashMap<(&'static str, u16), HashMap<String, Figures>>;

static KNOWN: OnceLock<RwLock<Known>> = OnceLock::new();

/// Counts an answered request.
pub(super) fn count(route: &str, method: &'static str, status: u16, took: Duration) {
    let known = KNOWN.get_or_init(RwLock::default);
    let add = |(requests, seconds): &Figures| {
        requests.increment(1);
        seconds.record(took);
    };
    let kind = (method, status);
    if let Some(figures) =
        known.read().unwrap_or_else(PoisonError::into_inner).get(&kind).and_then(|all| all.get(route))
    {
        return add(figures);
    }
    recorder();
    let requests = counter!(REQUESTS, "route" => route.to_owned(), "method" => method, "status" => status.to_string());
    let seconds = histogram!(REQUEST_SECONDS, "route" => route.to_owned(), "method" => method);
    let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
    add(known.entry(kind).or_default().entry(route.to_owned()).or_insert((requests, seconds)));
}

/// Installs the recorder and keeps its memory bounded until the app is told to stop.
pub(super) async fn keep_up(stop: CancellationToken) {
    let mut ticks = tokio::time::interval(SORT_EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        recorder().run_upkeep();
    }
}

/// The figures of this process
#[utoipa::path(get, path = "/metrics", tag = "Operations",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain; version=0.0.4")),
    extensions(("x-problems" = json!(["not_found", "token_missing", "token_invalid"]))))]
async fn figures(
    State(app): State<Arc<App>>,
    asks_no_token: Option<Extension<AsksNoToken>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ApiError> {
    may_see(&app, asks_no_token.is_some(), &headers)?;
    let (used, open) = app.store.connections();
    gauge!(CONNECTIONS, "state" => "used").set(used);
    gauge!(CONNECTIONS, "state" => "idle").set(open.saturating_sub(used));
    counter!(HASHES).absolute(app.keys.passwords.hashed());
    look_up_jobs(&app).await;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], recorder().render()))
}

/// A database that is down must not take the other figures with it.
async fn look_up_jobs(app: &App) {
    match jobs::depth(&app.store, app.clock.now()).await {
        Ok(depth) => {
            let waited = depth.oldest.map_or(Duration::ZERO, |oldest| app.clock.now().since(oldest));
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; no queue has 2^52 jobs")]
            let set = |state: &'static str, jobs: i64| gauge!(JOBS, "state" => state).set(jobs as f64);
            set("queued", depth.queued);
            set("running", depth.running);
            gauge!(OLDEST_JOB_SECONDS).set(waited.as_secs_f64());
        }
        Err(cause) => tracing::warn!(%cause, "the queue could not be looked at for the metrics"),
    }
}
