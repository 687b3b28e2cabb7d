//! One request to the API, from its first line in the journal to its answer or its loss.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use serde_json::Value;

use super::error::{Fault, Refusal};
use super::journal::{Ended, Entry, Recorder};
use super::keys::{Claim, InUse, Kept};
use super::script::Rule;
use super::{Sandbox, calls, expand, form, ids, versions};

/// Marks an answer that never leaves: the connection is cut instead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut;

impl IntoResponse for Cut {
    fn into_response(self) -> Response {
        let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

pub(super) async fn answer(
    State(sandbox): State<Arc<Sandbox>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    // DELETE may have its parameters in either place.
    let text = [uri.query().unwrap_or_default().as_bytes(), &body].join(&b'&');
    let asked = form::parse(&text);
    let request_id = ids::fresh("req_");
    let recorder = sandbox.journal.begin(Entry {
        method: method.to_string(),
        path: uri.path().to_owned(),
        form: asked.as_ref().map_or_else(|_| String::from_utf8_lossy(&text).into(), Value::clone),
        idempotency_key: header("idempotency-key"),
        api_version: header("stripe-version"),
        request_id: request_id.clone(),
        ..Entry::default()
    });
    let version = header("stripe-version").unwrap_or_else(|| sandbox.options.api_version.clone());
    let key = header("idempotency-key").filter(|key| !key.is_empty() && method == Method::POST);
    let visit = Visit { sandbox, recorder, method, path: uri.path().to_owned(), version, key, request_id };
    let admitted = admitted(header("authorization").as_deref());
    let checked = admitted.and_then(|()| versions::check(&visit.version)).and(asked);
    match checked {
        Ok(asked) => visit.run(asked).await,
        Err(fault) => visit.refuses(&fault),
    }
}

/// Any key for tests will do; one that ends with `invalid` shows what a wrong one looks like.
fn admitted(authorization: Option<&str>) -> Result<(), Refusal> {
    let refused = |message: String| Err(Box::new(Fault::of(401).with_message(message)));
    let key = authorization.and_then(|value| {
        let (scheme, rest) = value.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(rest.trim().to_owned());
        }
        let pair = base64::engine::general_purpose::STANDARD.decode(rest.trim()).ok()?;
        let pair = String::from_utf8(pair).ok()?;
        Some(pair.split(':').next().unwrap_or_default().to_owned())
    });
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        return refused(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer \
             auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
                .to_owned(),
        );
    };
    if key.starts_with("sk_live_") || key.starts_with("rk_live_") {
        return refused("This is the sandbox: it takes no live keys. Use one that begins with sk_test_.".to_owned());
    }
    if !(key.starts_with("sk_test_") || key.starts_with("rk_test_")) || key.ends_with("invalid") {
        let end: String = key.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
        return refused(format!("Invalid API Key provided: {}****{end}", key.get(..8).unwrap_or_default()));
    }
    Ok(())
}

struct Visit {
    sandbox: Arc<Sandbox>,
    recorder: Recorder,
    method: Method,
    path: String,
    version: String,
    key: Option<String>,
    request_id: String,
}

impl Visit {
    async fn run(self, asked: Value) -> Response {
        let fits = |rule: &Rule| rule.fits(self.method.as_str(), &self.path, &asked);
        let rule = self.sandbox.script.take(fits).unwrap_or_default();
        if !rule.after
            && let Some(struck) = self.strikes(&rule).await
        {
            return struck;
        }
        let in_use = match self.claim(&asked) {
            Ok(Claimed::Execute(in_use)) => in_use,
            Ok(Claimed::Repeat(kept)) => return self.repeats(&kept),
            Err(fault) => return self.refuses(&fault),
        };
        tokio::time::sleep(Duration::from_millis(rule.delay_ms)).await;
        if rule.wait && !self.released().await {
            return Cut.into_response();
        }
        let answer = self.execute(&asked);
        let remembered = match &rule.refuse {
            Some(fault) if rule.after && rule.remember => Err(fault.clone()),
            _ => answer.clone().map_err(|fault| *fault),
        };
        if let Some(in_use) = in_use
            && !remembered.as_ref().is_err_and(|fault| fault.is_early)
        {
            in_use.keep(Kept { answer: remembered, request_id: self.request_id.clone() });
        }
        self.recorder.executes();
        if rule.hold && !self.released().await {
            return Cut.into_response();
        }
        if rule.after
            && let Some(struck) = self.strikes(&rule).await
        {
            return struck;
        }
        match answer {
            Ok(value) => self.answers(200, Json(value).into_response(), Ended::Answered),
            Err(fault) => self.refuses(&fault),
        }
    }

    /// What the rule does instead of an answer, if anything.
    async fn strikes(&self, rule: &Rule) -> Option<Response> {
        if rule.hang {
            self.recorder.stays(Ended::Hung);
            self.sandbox.stop.cancelled().await;
            return Some(Cut.into_response());
        }
        if rule.cut {
            self.recorder.finishes(0, Ended::Cut);
            return Some(Cut.into_response());
        }
        let fault = rule.refuse.as_ref()?;
        Some(self.answers(fault.status, fault.answer(&self.request_id), Ended::Refused))
    }

    fn claim(&self, asked: &Value) -> Result<Claimed, Refusal> {
        let Some(key) = &self.key else { return Ok(Claimed::Execute(None)) };
        let request = format!("{} {} {asked}", self.method, self.path);
        let now = self.sandbox.options.clock.now();
        Ok(match self.sandbox.keys.claim(key, request, now)? {
            Claim::Execute(in_use) => Claimed::Execute(Some(in_use)),
            Claim::Repeat(kept) => Claimed::Repeat(kept),
        })
    }

    fn execute(&self, asked: &Value) -> Result<Value, Refusal> {
        let path = self.path.strip_prefix("/v1/").unwrap_or_default().trim_end_matches('/');
        let expansions = expand::read(asked)?;
        let cause = (self.request_id.clone(), self.key.clone());
        self.sandbox.with_cause(cause, |world| {
            let mut value = calls::execute(world, &self.method, path, asked)?;
            expand::apply(world, &mut value, &expansions);
            if versions::is_older(&self.version) {
                versions::older(world, &mut value);
            }
            Ok(value)
        })
    }

    /// False: the sandbox ends first.
    async fn released(&self) -> bool {
        let mut releases = self.sandbox.releases.subscribe();
        self.recorder.stays(Ended::Held);
        tokio::select! {
            _ = releases.changed() => {
                self.recorder.stays(Ended::Open);
                true
            }
            () = self.sandbox.stop.cancelled() => false,
        }
    }

    fn repeats(&self, kept: &Kept) -> Response {
        self.recorder.replays();
        let (status, response) = match &kept.answer {
            Ok(value) => (200, Json(value).into_response()),
            Err(fault) => (fault.status, fault.answer(&kept.request_id)),
        };
        let mut response = self.answers(status, response, Ended::Answered);
        let headers = response.headers_mut();
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
        insert(headers, "original-request", &kept.request_id);
        response
    }

    fn refuses(&self, fault: &Fault) -> Response {
        self.answers(fault.status, fault.answer(&self.request_id), Ended::Answered)
    }

    fn answers(&self, status: u16, mut response: Response, end: Ended) -> Response {
        let headers = response.headers_mut();
        insert(headers, "request-id", &self.request_id);
        insert(headers, "stripe-version", &self.version);
        if let Some(key) = &self.key {
            insert(headers, "idempotency-key", key);
        }
        self.recorder.finishes(status, end);
        response
    }
}

/// A claim of a request that may have no key.
enum Claimed {
    Execute(Option<InUse>),
    Repeat(Kept),
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
