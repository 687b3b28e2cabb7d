//! Accepting connections, as many as there may be, with limits on how slowly and how largely a request may come and how
//! slowly its answer may be taken; and letting them go again.

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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::wire::{Turn, Wire};
use super::{bare, layers, metrics, operators_router, router};
use crate::app::App;
use crate::clock::Clock;
use crate::http::{ApiError, Code};

/// For a request's head to arrive, and for the next one on a kept connection: longer than load balancers keep theirs.
const HEAD_TIME: Duration = Duration::from_secs(75);
/// For all of a request's head; a longer one is 431.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long answers under way may take once the process should end: it must be gone within 30 seconds.
const DRAIN_TIME: Duration = Duration::from_secs(20);
/// How long and how much a client may go on sending after an answer that did not wait for it.
const LINGER_TIME: Duration = Duration::from_secs(5);
const LINGER_BYTES: u64 = 4 * 1024 * 1024;
/// Connections of operators, and of those who are told that there are too many: not counted with the clients'.
const MOST_OPERATORS: usize = 64;
const MOST_TURNED_AWAY: usize = 64;
/// After a failed accept (out of file descriptors, mostly): trying at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Answers on `listener`, and on `METRICS_BIND` when that is set, until the app is told to stop; then lets the answers
/// under way finish.
pub async fn serve(app: Arc<App>, listener: TcpListener) -> io::Result<()> {
    let house = House::new(&app);
    let watched = app.clone();
    app.tasks.spawn(async move { watched.stop.run_until_cancelled(watched.live.watch(&watched.store)).await });
    let base: Arc<str> = layers::base_path(&app).into();
    house.open_to_operators(&app).await?;
    house.accept(listener, router(&app), base, app.settings.server.max_connections).await;
    house.drain().await;
    Ok(())
}

/// Answers on `METRICS_BIND` alone, when that is set: for a process that serves nobody else.
pub async fn serve_operators(app: &Arc<App>) -> io::Result<()> {
    House::new(app).open_to_operators(app).await
}

#[derive(Clone)]
struct House {
    connections: TaskTracker,
    stop: CancellationToken,
    /// Cancelled when nobody is waited for any longer.
    abandon: CancellationToken,
    clock: Clock,
}

impl House {
    fn new(app: &App) -> Self {
        Self::until(app.stop.clone(), app.clock.clone())
    }

    fn until(stop: CancellationToken, clock: Clock) -> Self {
        Self { connections: TaskTracker::new(), stop, abandon: CancellationToken::new(), clock }
    }

    async fn open_to_operators(&self, app: &Arc<App>) -> io::Result<()> {
        app.tasks.spawn(metrics::keep_up(app.stop.clone()));
        if let Some(bind) = app.settings.server.metrics_bind {
            let listener = TcpListener::bind(bind).await?;
            let (house, router) = (self.clone(), operators_router(app));
            app.tasks.spawn(async move { house.accept(listener, router, "".into(), MOST_OPERATORS).await });
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

    /// Takes `most` connections at a time. Those beyond are told so, some at a time; the others wait with the system.
    async fn accept(&self, listener: TcpListener, router: Router, base: Arc<str>, most: usize) {
        let (places, doorstep) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(MOST_TURNED_AWAY)));
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let house = self.clone();
                    if let Ok(place) = places.clone().try_acquire_owned() {
                        let (router, base) = (router.clone(), base.clone());
                        self.connections.spawn(async move { house.converse(stream, peer, router, base, place).await });
                        continue;
                    }
                    let room = self.stop.run_until_cancelled(doorstep.clone().acquire_owned()).await;
                    let Some(Ok(room)) = room else { return };
                    self.connections.spawn(async move { house.turn_away(stream, room).await });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn turn_away(&self, mut stream: TcpStream, _room: OwnedSemaphorePermit) {
        let problem = ApiError::new(Code::Overloaded).retry_after(1);
        if bare::say(&mut stream, problem, self.clock.now()).await.is_ok() {
            linger(stream).await;
        }
    }

    async fn converse(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        router: Router,
        base: Arc<str>,
        _place: OwnedSemaphorePermit,
    ) {
        let _ = stream.set_nodelay(true);
        let turn = Turn::default();
        let wire = Wire::new(stream, turn.clone());
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let mut router = router.clone();
            let request = layers::normalise(request, &base);
            let answering = turn.begin();
            Box::pin(async move {
                let answer = router.call(request).await.unwrap_or_else(|never| match never {});
                Ok::<_, Infallible>(answering.with(answer))
            })
        });
        let mut protocol = http1::Builder::new();
        protocol.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(MAX_HEAD_BYTES);
        let mut connection = protocol.serve_connection(TokioIo::new(wire), service);
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
        let http1::Parts { io, read_buf, .. } = connection.into_parts();
        let (mut stream, kept_back) = io.into_inner().into_parts();
        if let Some(code) = bare::judge(&kept_back, &read_buf) {
            let _ = bare::say(&mut stream, ApiError::new(code), self.clock.now()).await;
        }
        if !is_stopping {
            linger(stream).await;
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
    use super::super::wire::STALL_TIME;
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

    /// Connections at a time.
    const MOST: usize = 40;
    /// More than the system takes in for a client that reads nothing.
    const LARGE: usize = 32 * 1024 * 1024;

    /// A word now and then.
    async fn seldom() -> Body {
        Body::from_stream(futures_util::stream::unfold(0, async |told| {
            tokio::time::sleep(STALL_TIME + Duration::from_secs(1)).await;
            (told < 5).then_some((Ok::<_, Infallible>("beat"), told + 1))
        }))
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
        let router = router.route("/large", get(async || vec![b'x'; LARGE])).route("/seldom", get(seldom));
        let router = router.route("/body", post(async |_: Json<serde_json::Value>| "whole"));
        let router = router.layer(axum::middleware::from_fn(layers::refuse_hangs_and_panics));
        let house = House::until(stop, Clock::system());
        let serving = TaskTracker::new().spawn(async move {
            house.accept(listener, router, "".into(), MOST).await;
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
        assert_problem(&answer, 431, "head_too_large");
    }

    #[track_caller]
    fn assert_problem(answer: &str, status: u16, code: &str) {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer}"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let header = |wanted: &str| {
            let mut pairs = head.lines().filter_map(|line| line.split_once(": "));
            pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value)
        };
        let body: serde_json::Value = serde_json::from_str(body).expect("a problem");
        assert_eq!(header("content-type"), Some("application/problem+json"), "{answer}");
        assert_eq!(header("connection"), Some("close"), "{answer}");
        assert!(header("date").is_some_and(|date| date.ends_with(" GMT")), "{answer}");
        assert_eq!((body["code"].as_str(), body["status"].as_u64()), (Some(code), Some(status.into())), "{answer}");
        assert_eq!(body["request_id"].as_str(), header("x-request-id"), "{answer}");
    }

    #[tokio::test]
    async fn what_is_no_request_is_a_problem_too() {
        let (address, _serving) = start(CancellationToken::new(), Arc::default()).await;
        let long = "x".repeat(MAX_HEAD_BYTES * 4);
        for (request, status, code) in [
            (format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"), 414, "uri_too_long"),
            (format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n"), 431, "head_too_large"),
            (format!("GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(200)), 431, "head_too_large"),
            ("GET / nonsense\r\n\r\n".to_owned(), 400, "bad_request"),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400, "bad_request"),
            ("GET / HTTP/1.1\r\nhost: a\0b\r\n\r\n".to_owned(), 400, "bad_request"),
            ("\x16\x03\x01 TLS to a plain port\r\n\r\n".to_owned(), 400, "bad_request"),
            ("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: nine\r\n\r\n".to_owned(), 400, "bad_request"),
        ] {
            assert_problem(&rest(ask(address, &request).await).await, status, code);
        }
    }

    #[tokio::test]
    async fn what_follows_an_answer_and_is_no_request_takes_nothing_from_the_answer() {
        let (address, _serving) = start(CancellationToken::new(), Arc::default()).await;
        let good = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        for before in [good.to_owned(), good.repeat(3), format!("HEAD{}{good}", &good[3..])] {
            let told = rest(ask(address, &format!("{before}nonsense\r\n\r\n")).await).await;
            let (answers, problem) = told.rsplit_once("HTTP/1.1 ").expect("an answer");
            assert_problem(&format!("HTTP/1.1 {problem}"), 400, "bad_request");
            let asked = before.matches("HTTP/1.1").count();
            assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), asked, "{told}");
            assert!(answers.ends_with("here"), "{told}");
        }
    }

    #[tokio::test]
    async fn beyond_the_last_place_a_connection_is_told_to_come_back() {
        let (address, _serving) = start(CancellationToken::new(), Arc::default()).await;
        let request = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let mut open = Vec::new();
        for _ in 0..MOST {
            let mut stream = ask(address, request).await;
            stream.read_exact(&mut [0; 12]).await.expect("an answer");
            open.push(stream);
        }
        for _ in 0..3 {
            let refused = rest(ask(address, request).await).await;
            assert_problem(&refused, 503, "overloaded");
            assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
        }
        open.pop();
        loop {
            let answer = rest(ask(address, &request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await).await;
            if answer.ends_with("here") {
                break;
            }
            assert_problem(&answer, 503, "overloaded");
        }
    }

    /// Lets the clock go on, and then whoever it woke. It cannot stand still and jump here: the system takes its time to
    /// tell one end what the other has taken.
    async fn pass(time: Duration) {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }

    #[tokio::test]
    async fn who_takes_nothing_of_an_answer_is_cut_and_who_takes_it_slowly_is_not() {
        let (address, _serving) = start(CancellationToken::new(), Arc::default()).await;
        let request = "GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let mut slow = ask(address, request).await;
        let mut piece = vec![0; LARGE / 16];
        for _ in 0..16 {
            pass(STALL_TIME / 4).await;
            slow.read_exact(&mut piece).await.expect("it is not cut");
        }
        let mut none = ask(address, request).await;
        for _ in 0..STALL_TIME.as_secs() + 2 * LINGER_TIME.as_secs() {
            pass(Duration::from_secs(1)).await;
        }
        let mut taken = Vec::new();
        let _ = none.read_to_end(&mut taken).await;
        assert!(taken.len() < LARGE, "{} bytes", taken.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_with_little_to_say_is_not_cut() {
        let (address, _serving) = start(CancellationToken::new(), Arc::default()).await;
        let begun = tokio::time::Instant::now();
        let told =
            rest(ask(address, "GET /seldom HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await).await;
        assert_eq!(told.matches("beat").count(), 5, "{told}");
        assert!(begun.elapsed() >= STALL_TIME * 5, "{:?}", begun.elapsed());
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
