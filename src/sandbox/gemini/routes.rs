//! The API's addresses: who may come in, which model, which call.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, OriginalUri, Path, Query, State};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cards::{self, Card};
use super::error::Fault;
use super::journal::{Ended, Entry, KeyPlace, Recorder};
use super::perform::Performance;
use super::{Sandbox, asked, control, embed, files, plan};

/// Google's own limit for a request with files in it.
const LONGEST_BODY: usize = 100 * 1000 * 1000;

pub(super) fn router(sandbox: Arc<Sandbox>) -> Router {
    let api = Router::new().route("/models", get(list)).route("/models/{target}", get(one).post(call));
    Router::new()
        .nest("/v1", api.clone())
        .nest("/v1beta", api)
        .merge(control::router())
        .fallback(nowhere)
        .method_not_allowed_fallback(nowhere)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(sandbox)
}

async fn nowhere(method: Method, uri: Uri) -> Fault {
    Fault::of(404).message(format!("Method not found: {method} {}", uri.path()))
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    alt: Option<String>,
    key: Option<String>,
    #[serde(rename = "pageSize", alias = "page_size")]
    page_size: Option<String>,
    #[serde(rename = "pageToken", alias = "page_token")]
    page_token: Option<String>,
}

async fn list(
    State(sandbox): State<Arc<Sandbox>>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Response {
    let visit = Visit::begin(&sandbox, &uri, &query, &headers, "models.list", None, Value::Null);
    let page = match visit.admitted(&sandbox) {
        Ok(()) => cards::page(&sandbox.options.models, query.page_size.as_deref(), query.page_token.as_deref()),
        Err(fault) => Err(fault),
    };
    visit.answer(&sandbox, "", page).await
}

async fn one(
    State(sandbox): State<Arc<Sandbox>>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Response {
    let visit = Visit::begin(&sandbox, &uri, &query, &headers, "models.get", Some(&name), Value::Null);
    let card = match visit.admitted(&sandbox) {
        Ok(()) => visit.card(&sandbox, &name).map(Card::value),
        Err(fault) => Err(fault),
    };
    visit.answer(&sandbox, "", card).await
}

async fn call(
    State(sandbox): State<Arc<Sandbox>>,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
    Path(target): Path<String>,
    body: Bytes,
) -> Response {
    let (name, call) = target.split_once(':').unwrap_or((&target, ""));
    let json = serde_json::from_slice::<Value>(&body);
    let shown = json.as_ref().map_or_else(|_| String::from_utf8_lossy(&body).into(), files::shown);
    let visit = Visit::begin(&sandbox, &uri, &query, &headers, call, Some(name), shown);
    let checked = visit.admitted(&sandbox).and_then(|()| {
        let card = visit.card(&sandbox, name)?;
        let text = |error| Fault::invalid(format!("Invalid JSON payload received. {error}"));
        Ok((card, json.map_err(text)?))
    });
    let (card, json) = match checked {
        Ok(checked) => checked,
        Err(fault) => return visit.refuse(fault),
    };
    match call {
        "generateContent" | "streamGenerateContent" => visit.generate(sandbox.clone(), card, &json).await,
        "countTokens" => {
            let counted = asked::count(&json).map(|tokens| {
                json!({"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]})
            });
            visit.answer(&sandbox, &body_text(&json), counted).await
        }
        "embedContent" => visit.answer(&sandbox, &body_text(&json), embed::one(name, &json)).await,
        "batchEmbedContents" => visit.answer(&sandbox, &body_text(&json), embed::batch(name, &json)).await,
        _ => visit.refuse(Fault::of(404).message(format!("Method not found: {call}"))),
    }
}

/// What rules for the lesser calls are matched with.
fn body_text(json: &Value) -> String {
    json.to_string()
}

/// One request, from its first line in the journal on.
struct Visit {
    recorder: Recorder,
    version: String,
    call: String,
    key: Option<String>,
    has_key: bool,
    has_events: bool,
}

impl Visit {
    fn begin(
        sandbox: &Sandbox,
        uri: &Uri,
        query: &Parameters,
        headers: &HeaderMap,
        call: &str,
        model: Option<&str>,
        body: Value,
    ) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let key = header("x-goog-api-key").or(query.key.clone()).filter(|key| !key.is_empty());
        let place = match (headers.contains_key("x-goog-api-key"), query.key.is_some()) {
            (true, _) => Some(KeyPlace::Header),
            (false, true) => Some(KeyPlace::Query),
            (false, false) => headers.contains_key("authorization").then_some(KeyPlace::Bearer),
        };
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let path =
            query.key.as_deref().filter(|key| !key.is_empty()).map_or(path.to_owned(), |key| path.replace(key, "…"));
        let recorder = sandbox.journal.begin(Entry {
            tag: header("x-client-request-id"),
            call: call.to_owned(),
            model: model.map(str::to_owned),
            path,
            key: place,
            body,
            ..Entry::default()
        });
        let version = uri.path().split('/').nth(1).unwrap_or_default().to_owned();
        let has_events = query.alt.as_deref() == Some("sse");
        let has_key = place == Some(KeyPlace::Bearer) || key.is_some();
        Self { recorder, version, call: call.to_owned(), key, has_key, has_events }
    }

    fn admitted(&self, sandbox: &Sandbox) -> Result<(), Box<Fault>> {
        if sandbox.options.require_key && !self.has_key {
            return Err(Box::new(Fault::of(403).message(
                "Method doesn't allow unregistered callers (callers without established identity). Please use API Key \
                 or other form of API consumer identity to call this API.",
            )));
        }
        // A way to see what a wrong key looks like.
        if self.key.as_deref().is_some_and(|key| key.starts_with("invalid")) {
            let mut fault = Fault::invalid("API key not valid. Please pass a valid API key.");
            fault.reason = Some("API_KEY_INVALID".to_owned());
            return Err(fault);
        }
        Ok(())
    }

    fn card<'a>(&self, sandbox: &'a Sandbox, name: &str) -> Result<&'a Card, Box<Fault>> {
        let found = sandbox.options.models.iter().find(|card| card.name == name && card.does(&self.call));
        found.ok_or_else(|| {
            let (version, call) = (&self.version, &self.call);
            Box::new(Fault::of(404).message(if call == "models.get" {
                format!("models/{name} is not found for API version {version}.")
            } else {
                format!(
                    "models/{name} is not found for API version {version}, or is not supported for {call}. \
                     Call ListModels to see the list of available models and their supported methods."
                )
            }))
        })
    }

    async fn generate(self, sandbox: Arc<Sandbox>, card: &Card, json: &Value) -> Response {
        let planned = asked::generate(json, card.output_token_limit).and_then(|asked| {
            if asked.tokens > u64::from(card.input_token_limit) {
                return Err(Fault::invalid(format!(
                    "The input token count ({}) exceeds the maximum number of tokens allowed ({}).",
                    asked.tokens, card.input_token_limit
                )));
            }
            plan::make(&sandbox, &card.name, &asked)
        });
        let plan = match planned {
            Ok(plan) => plan,
            Err(fault) => return self.refuse(fault),
        };
        let is_stream = self.call == "streamGenerateContent";
        let performance = Performance::of(sandbox.clone(), self.recorder, plan, self.has_events || !is_stream);
        let played = if is_stream { performance.stream().await } else { performance.whole().await };
        played.unwrap_or_else(|refused| refused)
    }

    /// Ends one of the lesser calls, unless a rule refuses it.
    async fn answer(self, sandbox: &Sandbox, text: &str, made: Result<Value, Box<Fault>>) -> Response {
        let mut made = made;
        if let Some(rule) = sandbox.script.take(&self.call, text) {
            tokio::time::sleep(std::time::Duration::from_millis(rule.first_byte_ms.unwrap_or(0))).await;
            made = rule.refuse.map_or(made, |fault| Err(Box::new(fault)));
        }
        match made {
            Ok(value) => {
                self.recorder.answers(200);
                self.recorder.finishes(None, Ended::Finished);
                Json(value).into_response()
            }
            Err(fault) => self.refuse(fault),
        }
    }

    fn refuse(self, fault: impl Into<Box<Fault>>) -> Response {
        let mut fault = fault.into();
        fault.array |= self.call == "streamGenerateContent" && !self.has_events;
        self.recorder.answers(fault.status);
        self.recorder.finishes(None, Ended::Refused);
        fault.into_response()
    }
}
