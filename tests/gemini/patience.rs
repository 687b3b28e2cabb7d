//! How long the client waits when nobody says how long: 5 s to connect, 60 s for the first byte, 30 s between two pieces,
//! 10 minutes in all. Time is paused: it jumps to the next timer whenever nothing else can happen.

use std::time::Duration;

use gemini_backend::gemini::{Client, Error, Timeouts, Waited};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::{Heard, ask, hear, settings};

/// Timers have a resolution, and the next one may be due a moment later.
const SLACK: Duration = Duration::from_millis(500);
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const FRAME: &[u8] = b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"word \"}]}}]}\n\n";

/// What a client made as the service makes it hears from `base`, and how long it listened.
async fn listen_by_default(base: String) -> (Heard, Duration) {
    let client = Client::new(&settings(&base, Some("k"))).expect("a client");
    let asked = Instant::now();
    let heard = hear(&client, &ask("hi")).await;
    (heard, asked.elapsed())
}

/// The same of a server that takes one request and then does what `answer` does.
async fn listen_to<F: Future<Output = ()>>(answer: impl FnOnce(TcpStream) -> F) -> (Heard, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let serve = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            stream.read_buf(&mut request).await.expect("a request");
        }
        answer(stream).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        heard = listen_by_default(base) => heard,
        () = serve => unreachable!("it serves for ever"),
    }
}

fn assert_took(took: Duration, limit: Duration) {
    assert!((limit..limit + SLACK).contains(&took), "it took {took:?} instead of {limit:?}");
}

#[test]
fn the_limits_are_these_unless_told_otherwise() {
    let expected = Timeouts {
        connect: Duration::from_secs(5),
        first_byte: Duration::from_mins(1),
        idle: Duration::from_secs(30),
        whole: Duration::from_mins(10),
    };
    assert_eq!(Timeouts::default(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_come_about_is_waited_for_5_seconds() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    // One connection waits to be accepted and never is; those behind it get no answer from the system.
    let listener = socket.listen(0).expect("it listens");
    let address = listener.local_addr().expect("an address");
    let _first = TcpStream::connect(address).await.expect("there is room for one");
    let (heard, took) = listen_by_default(format!("http://{address}")).await;
    assert!(matches!(heard.error(), Error::Unreachable(_)), "{:?}", heard.end);
    assert!(heard.error().is_passing());
    assert_took(took, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_first_byte_is_waited_for_60_seconds() {
    let limit = Duration::from_mins(1);
    // Nothing at all, and a head without anything behind it.
    for begins in [&b""[..], HEAD] {
        let kept = std::sync::Mutex::new(None);
        let answer = async |mut stream: TcpStream| {
            stream.write_all(begins).await.expect("it begins");
            *kept.lock().expect("no panic") = Some(stream);
        };
        let (heard, took) = listen_to(answer).await;
        assert_eq!(heard.error(), &Error::TimedOut(Waited::FirstByte(limit)));
        assert_took(took, limit);
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_piece_is_waited_for_30_seconds() {
    let limit = Duration::from_secs(30);
    let kept = std::sync::Mutex::new(None);
    let answer = async |mut stream: TcpStream| {
        stream.write_all(HEAD).await.expect("it begins");
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(29)).await;
            stream.write_all(FRAME).await.expect("it goes on");
        }
        *kept.lock().expect("no panic") = Some(stream);
    };
    let (heard, took) = listen_to(answer).await;
    assert_eq!((heard.pieces, heard.error()), (3, &Error::TimedOut(Waited::Idle(limit))));
    assert_took(took, Duration::from_secs(3 * 29) + limit);
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_take_10_minutes_in_all() {
    let limit = Duration::from_mins(10);
    let answer = async |mut stream: TcpStream| {
        stream.write_all(HEAD).await.expect("it begins");
        while stream.write_all(FRAME).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(7)).await;
        }
    };
    let (heard, took) = listen_to(answer).await;
    assert_eq!(heard.error(), &Error::TimedOut(Waited::Whole(limit)));
    assert_eq!(heard.pieces, 86);
    assert_took(took, limit);
}
