//! What happens around every request: its id, its line in the log, its figures, and what no handler should have to see.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::compression::{CompressionLayer, CompressionLevel};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument;

use crate::app::App;
use crate::chat::http::{UPLOAD_TIME, UPLOADS};
use crate::config::Server;
use crate::http::{ApiError, ClientAddress, Code, host, rate_limit, request_id};
use crate::traces::{Record, SpanKind, Status};

/// Longer than a client may ask to wait for a reply (`Prefer: wait=30`); streams have begun by then.
const MAX_TIME: Duration = Duration::from_mins(1);
/// Read by load balancers and monitors, which ask by address and not by name.
const HEALTH_PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// What is quick, changes nothing and succeeds is counted by the metrics; a line for each would bury the others.
const SLOW: Duration = Duration::from_secs(1);
const PREFLIGHT_KEPT: Duration = Duration::from_hours(1);

/// Outermost: gives the request its id and its client's address; counts and logs it when it is answered.
pub(super) async fn observe(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let (began, started) = (app.clock.now(), Instant::now());
    let id = request_id::of(request.headers(), began);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|connection| connection.0);
    let peer = peer.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
    let client = ClientAddress::of(peer, request.uri(), request.headers(), &app.settings.server.trusted_proxies);
    request.extensions_mut().insert(client);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let method = name_of(request.method());
    let changes_nothing = request.method().is_safe();

    let span = tracing::info_span!("request", request_id = %id, user_id = tracing::field::Empty);
    let work = rate_limit::noting(next.run(request));
    let (mut response, limits) = request_id::within(id.clone(), work).instrument(span.clone()).await;

    let headers = response.headers_mut();
    rate_limit::write(headers, &limits);
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(request_id::HEADER, id);
    }
    let status = response.status().as_u16();
    let took = started.elapsed();
    super::metrics::count(route, method, status, took);
    if !HEALTH_PATHS.contains(&route) {
        app.traces.record(began, started, || Record {
            name: format!("{method} {route}"),
            kind: SpanKind::Server,
            status: if status >= 500 { Status::error("") } else { Status::Unset },
            facts: [
                ("http.request.method", method.into()),
                ("http.route", route.to_owned().into()),
                ("http.response.status_code", i64::from(status).into()),
                ("request_id", id.clone().into()),
            ],
        });
    }
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    // The route and not the path: whatever a client puts there by mistake stays out of the log.
    span.in_scope(|| {
        if changes_nothing && response.status().as_u16() < 400 && took < SLOW {
            tracing::debug!(method, route, status, millis, client = %client.ip, "answered");
        } else {
            tracing::info!(method, route, status, millis, client = %client.ip, "answered");
        }
    });
    response
}

/// One of a few words, whatever a client invents: a label of a metric must not grow.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

/// Innermost: a host that is not served is refused; a handler that panics is a 500, one that hangs a 503.
pub(super) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let allowed = &app.settings.server.allowed_hosts;
    let is_served = allowed.is_empty()
        || HEALTH_PATHS.contains(&request.uri().path())
        || host(request.uri(), request.headers()).is_some_and(|host| allowed.iter().any(|name| is_under(host, name)));
    if is_served { refuse_hangs_and_panics(request, next).await } else { ApiError::new(Code::BadHost).into_response() }
}

pub(super) async fn refuse_hangs_and_panics(request: Request, next: Next) -> Response {
    // A file takes as long as its client needs to send it, within bounds of its own.
    let is_upload = request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str() == UPLOADS);
    let most = if is_upload { UPLOAD_TIME + MAX_TIME } else { MAX_TIME };
    let answer = std::panic::AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(most, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
            ApiError::internal(format_args!("panic: {text}")).into_response()
        }
        Err(_) => ApiError::new(Code::TimedOut).retry_after(1).into_response(),
    }
}

/// `ALLOWED_HOSTS`: a name, or `.example.com` for it and all below it. Health is answered under any.
fn is_under(host: &str, name: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("*.").or_else(|| name.strip_prefix('.')) {
        Some(parent) => host == parent || host.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.')),
        None => name == "*" || host == name,
    }
}

/// Not for what is too small to gain from it, and never for live events: a compressor holds them back.
pub(super) fn compression() -> CompressionLayer<impl Predicate> {
    let worth_it = SizeAbove::new(1024).and(NotForContentType::SSE).and(NotForContentType::IMAGES);
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_it)
}

/// None without configured origins: then browsers of other origins are told nothing.
pub(super) fn cors(settings: &Server) -> Option<CorsLayer> {
    let origins: Vec<_> =
        settings.cors_allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    let origins = match origins.as_slice() {
        [] => return None,
        [any] if any == "*" => AllowOrigin::any(),
        _ => AllowOrigin::list(origins),
    };
    let name = HeaderName::from_static;
    let exposed = [
        header::LOCATION,
        header::ETAG,
        header::RETRY_AFTER,
        name("ratelimit"),
        name("ratelimit-policy"),
        request_id::HEADER,
        name("idempotency-replayed"),
    ];
    let allowed = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        name("idempotency-key"),
        name("last-event-id"),
        name("prefer"),
        header::IF_NONE_MATCH,
    ];
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let layer = CorsLayer::new().allow_origin(origins).allow_methods(methods).allow_headers(allowed);
    Some(layer.expose_headers(exposed).max_age(PREFLIGHT_KEPT))
}

/// The path of `PUBLIC_URL`, without a slash at its end.
pub(super) fn base_path(app: &App) -> &str {
    app.settings.server.base_path()
}

/// The path as routes know it: without the base path, without slashes at its end.
pub(super) fn normalise(mut request: Request, base: &str) -> Request {
    let path = request.uri().path();
    let inner = path.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path);
    let inner = match inner.trim_end_matches('/') {
        "" => "/",
        inner => inner,
    };
    if inner.len() != path.len() {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut parts = request.uri().clone().into_parts();
        // Parts of a path and query that was one: what is left is one, too.
        parts.path_and_query = format!("{inner}{query}").parse().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::StatusCode;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt;

    #[test]
    fn slashes_at_the_end_and_the_base_path_are_taken_off() {
        let path = |uri: &str, base: &str| {
            let request = Request::builder().uri(uri).body(Body::empty()).expect("a good request");
            normalise(request, base).uri().to_string()
        };
        assert_eq!(path("/chatroom/?limit=1", ""), "/chatroom?limit=1");
        assert_eq!(path("/chatroom///", ""), "/chatroom");
        assert_eq!(path("/", ""), "/");
        assert_eq!(path("/api/v2/chatroom/?a=%2F", "/api/v2"), "/chatroom?a=%2F");
        assert_eq!(path("/api/v2", "/api/v2"), "/");
        assert_eq!(path("/api/v2x/y", "/api/v2"), "/api/v2x/y");
        assert_eq!(path("/chatroom", "/api/v2"), "/chatroom");
        assert_eq!(path("http://example.com/a/?b", ""), "http://example.com/a?b");
    }

    #[test]
    fn a_host_is_a_name_or_lies_below_a_dot() {
        assert!(is_under("api.example.com", "API.example.com") && is_under("example.com.", "example.com"));
        assert!(is_under("a.b.example.com", ".example.com") && is_under("example.com", "*.example.com"));
        assert!(!is_under("badexample.com", ".example.com") && !is_under("example.com.evil.net", "example.com"));
        assert!(is_under("anything", "*"));
    }

    async fn answer(path: &str) -> (StatusCode, String) {
        async fn broken() {
            panic!("the secret is 1234");
        }
        let router = Router::new().route("/panics", get(broken)).route("/hangs", get(std::future::pending::<()>));
        let router: Router = router.layer(from_fn(refuse_hangs_and_panics));
        let request = Request::builder().uri(path).body(Body::empty()).expect("a good request");
        let response = router.oneshot(request).await.expect("an answer");
        let status = response.status();
        let body = to_bytes(response.into_body(), 10_000).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_shows_nothing() {
        let (status, body) = answer("/panics").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(body.contains("\"code\":\"internal\"") && !body.contains("1234"), "{body}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_hangs_is_a_503() {
        let (status, body) = answer("/hangs").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("\"code\":\"timed_out\""), "{body}");
    }
}
