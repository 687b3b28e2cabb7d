//! Accepting connections, with limits on how slowly and how largely a request may come; and letting them go again.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::{layers, metrics, operators_router, router};
use crate::app::App;

/// For a request's head to arrive, and for the next one on a kept connection: longer than load balancers keep theirs.
const HEAD_TIME: Duration = Duration::from_secs(75);
/// For all of a request's head; a longer one is 431.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long answers under way may take once the process should end: it must be gone within 30 seconds.
const DRAIN_TIME: Duration = Duration::from_secs(20);
/// How long and how much a client may go on sending after an answer that did not wait for it.
const LINGER_TIME: Duration = Duration::from_secs(5);
const LINGER_BYTES: u64 = 4 * 1024 * 1024;
/// After a failed accept (out of file descriptors, mostly): trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Answers on `listener`, and on `METRICS_BIND` when that is set, until the app is told to stop; then lets the answers
/// under way finish.
pub async fn serve(app: Arc<App>, listener: TcpListener) -> io::Result<()> {
    let house = House::new(app.stop.clone());
    let base: Arc<str> = layers::base_path(&app).into();
    house.open_to_operators(&app).await?;
    house.accept(listener, router(&app), base).await;
    house.drain().await;
    Ok(())
}

/// Answers on `METRICS_BIND` alone, when that is set: for a process that serves nobody else.
pub async fn serve_operators(app: &Arc<App>) -> io::Result<()> {
    House::new(app.stop.clone()).open_to_operators(app).await
}

#[derive(Clone)]
struct House {
    connections: TaskTracker,
    stop: CancellationToken,
    /// Cancelled when nobody is waited for any longer.
    abandon: CancellationToken,
}

impl House {
    fn new(stop: CancellationToken) -> Self {
        Self { connections: TaskTracker::new(), stop, abandon: CancellationToken::new() }
    }

    async fn open_to_operators(&self, app: &Arc<App>) -> io::Result<()> {
        app.tasks.spawn(metrics::keep_up(app.stop.clone()));
        if let Some(bind) = app.settings.server.metrics_bind {
            let listener = TcpListener::bind(bind).await?;
            let (house, router) = (self.clone(), operators_router(app));
            app.tasks.spawn(async move { house.accept(listener, router, "".into()).await });
        }
        Ok(())
    }

    /// Waits for the answers under way, but not for ever.
    async fn drain(&self) {
        self.connections.close();
        if tokio::time::timeout(DRAIN_TIME, self.connections.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "some answers took too long and were cut");
            self.abandon.cancel();
            self.connections.wait().await;
        }
    }

    async fn accept(&self, listener: TcpListener, router: Router, base: Arc<str>) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let house = self.clone();
                    let (router, base) = (router.clone(), base.clone());
                    self.connections.spawn(async move { house.converse(stream, peer, router, base).await });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn converse(&self, stream: TcpStream, peer: SocketAddr, router: Router, base: Arc<str>) {
        let _ = stream.set_nodelay(true);
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let mut router = router.clone();
            let request = layers::normalise(request, &base);
            Box::pin(
                async move { Ok::<_, Infallible>(router.call(request).await.unwrap_or_else(|never| match never {})) },
            )
        });
        let mut protocol = http1::Builder::new();
        protocol.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(MAX_HEAD_BYTES);
        let mut connection = protocol.serve_connection(TokioIo::new(stream), service);
        let mut is_stopping = false;
        loop {
            tokio::select! {
                // A connection that broke is the client's affair; its request was logged if there was one.
                _ = poll_fn(|context| connection.poll_without_shutdown(context)) => break,
                () = self.stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                }
                () = self.abandon.cancelled() => return,
            }
        }
        if !is_stopping {
            linger(connection.into_parts().io.into_inner()).await;
        }
    }
}

/// Ends a connection without losing the answer: closed while the client still sends, the system would break it off, and the
/// client would see that instead of a 413.
async fn linger(mut stream: TcpStream) {
    let hear_out = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(LINGER_TIME, hear_out).await;
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{BODY_TIME, Json};
    use axum::routing::{get, post};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;

    #[derive(Default)]
    struct Slow {
        asked: Notify,
        told: Notify,
    }

    /// A server whose `/slow` answers when it is told to; what it runs in ends when it has drained.
    async fn start(stop: CancellationToken, slow: Arc<Slow>) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let slow = get(move || async move {
            slow.asked.notify_one();
            slow.told.notified().await;
            "at last"
        });
        let router = Router::new().route("/slow", slow).route("/", get(|| async { "here" }));
        let router = router.route("/body", post(async |_: Json<serde_json::Value>| "whole"));
        let router = router.layer(axum::middleware::from_fn(layers::refuse_hangs_and_panics));
        let house = House::new(stop);
        let serving = TaskTracker::new().spawn(async move {
            house.accept(listener, router, "".into()).await;
            house.drain().await;
        });
        (address, serving)
    }

    async fn ask(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(text.as_bytes()).await.expect("a request is written");
        stream
    }

    async fn rest(mut stream: impl tokio::io::AsyncRead + Unpin) -> String {
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text).await;
        text
    }

    // With the time paused it jumps to the next timer whenever nothing else can happen.
    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_ends_is_not_waited_for() {
        let (address, _serving) = start(CancellationToken::new(), Arc::default()).await;
        let begun = tokio::time::Instant::now();
        let silent = ask(address, "").await;
        let slow = ask(address, "GET / HTTP/1.1\r\nhost: localhost\r\n").await;
        assert_eq!(rest(slow).await, "");
        assert_eq!(rest(silent).await, "");
        assert!((HEAD_TIME..HEAD_TIME * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        let next = ask(address, "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        assert!(rest(next).await.ends_with("here"));
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_told_so_though_its_client_is_still_sending() {
        let (address, _serving) = start(CancellationToken::new(), Arc::default()).await;
        let head = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}", "x".repeat(MAX_HEAD_BYTES * 8));
        let answer = rest(ask(address, &head).await).await;
        assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("content-length: 0\r\n"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_a_408_however_it_trickles() {
        let (address, _serving) = start(CancellationToken::new(), Arc::default()).await;
        for length in ["content-length: 1000", "transfer-encoding: chunked"] {
            let begun = tokio::time::Instant::now();
            let head =
                format!("POST /body HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{length}\r\n\r\n");
            let (read, mut write) = ask(address, &head).await.into_split();
            let trickle = async {
                while write.write_all(b"1\r\n \r\n").await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            };
            let answer = tokio::select! {
                () = trickle => panic!("it was cut before it was answered"),
                answer = rest(read) => answer,
            };
            assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"code\":\"body_timed_out\""), "{answer}");
            assert!(answer.contains("connection: close\r\n"), "{answer}");
            assert!((BODY_TIME..BODY_TIME * 3 / 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        }
    }

    #[tokio::test]
    async fn told_to_stop_it_finishes_what_it_began_and_takes_nothing_new() {
        let (stop, held) = (CancellationToken::new(), Arc::<Slow>::default());
        let (address, serving) = start(stop.clone(), held.clone()).await;
        let mut idle = ask(address, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        let mut answer = [0; 12];
        idle.read_exact(&mut answer).await.expect("an answer");
        let slow = ask(address, "GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        held.asked.notified().await;
        stop.cancel();
        assert!(rest(idle).await.ends_with("here"), "a connection that waits for its next request is closed");
        held.told.notify_one();
        assert!(rest(slow).await.ends_with("at last"));
        serving.await.expect("it has drained");
        assert!(TcpStream::connect(address).await.is_err());
    }
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_is_not_waited_for_when_stopping() {
        let (stop, held) = (CancellationToken::new(), Arc::<Slow>::default());
        let (address, serving) = start(stop.clone(), held.clone()).await;
        let slow = ask(address, "GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        held.asked.notified().await;
        let begun = tokio::time::Instant::now();
        stop.cancel();
        serving.await.expect("it has drained");
        assert!((DRAIN_TIME..DRAIN_TIME * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        assert_eq!(rest(slow).await, "");
    }
}
