//! The server: the API, the pages, the sandbox's own addresses, and connections that can be cut.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::routing::any;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use super::visit::{self, Cut};
use super::{Sandbox, checkout_page, control, portal_page};

const LONGEST_BODY: usize = 1024 * 1024;

/// The connection breaks here.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("cut by the sandbox")]
struct Broken;

fn router(sandbox: Arc<Sandbox>) -> Router {
    Router::new()
        .route("/v1/{*path}", any(visit::answer))
        .merge(checkout_page::router())
        .merge(portal_page::router())
        .merge(control::router())
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(sandbox)
}

/// Takes connections until the sandbox ends; then those that are open are cut.
pub(super) async fn serve(listener: TcpListener, sandbox: Arc<Sandbox>) {
    let router = router(sandbox.clone());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = sandbox.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, stop) = (router.clone(), sandbox.stop.clone());
                sandbox.tasks.spawn(async move {
                    tokio::select! {
                        () = connection(stream, router) => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
            // Too many open files pass; a moment later there may be room.
            Err(error) => {
                tracing::warn!(%error, "the Stripe sandbox cannot take a connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    // Nagle's algorithm would hold small answers back.
    drop(stream.set_nodelay(true));
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let response = router.oneshot(request.map(Body::new)).await.map_err(|never| match never {})?;
            // An error from here ends the connection without a byte: what a client sees of a lost answer.
            if response.extensions().get::<Cut>().is_some() { Err(Broken) } else { Ok(response) }
        }
    });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection of the Stripe sandbox ended");
    }
}
