//! A bucket in memory that speaks as much S3 as is spoken here: put, get, head and delete of one object.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tokio::net::TcpListener;

/// The stand-in; it ends with the test's runtime.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    objects: Mutex<BTreeMap<String, Bytes>>,
    /// Every call, `PUT bucket/name`.
    calls: Mutex<Vec<String>>,
    is_down: AtomicBool,
}

impl Bucket {
    pub(crate) async fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let router = Router::new().route("/{bucket}/{*name}", any(answer));
        let router = router.layer(axum::extract::DefaultBodyLimit::disable()).with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        #[expect(clippy::disallowed_methods, reason = "it has to end with the test and not with the service")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.shared.objects).keys().cloned().collect()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        lock(&self.shared.calls).clone()
    }

    /// Loses all that it has.
    pub(crate) fn lose(&self) {
        lock(&self.shared.objects).clear();
    }

    /// Answers nothing but errors from now on, or well again.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.shared.is_down.store(is_down, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test died while it held this")
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Path((bucket, name)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let name = format!("{bucket}/{name}");
    lock(&shared.calls).push(format!("{method} {name}"));
    let signed = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !signed.starts_with("AWS4-HMAC-SHA256 Credential=an-id/") {
        return StatusCode::FORBIDDEN.into_response();
    }
    if shared.is_down.load(Ordering::SeqCst) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let about = [("etag", "\"1\""), ("last-modified", "Sat, 21 Nov 2026 10:00:00 GMT")];
    let mut objects = lock(&shared.objects);
    match method {
        Method::PUT => {
            objects.insert(name, body);
            (about, "").into_response()
        }
        Method::GET | Method::HEAD => match objects.get(&name) {
            Some(content) => (about, content.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        Method::DELETE => {
            objects.remove(&name);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}
