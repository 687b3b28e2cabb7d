//! The client against bytes: what other servers of the protocol, and bad lines, may send.

use std::net::SocketAddr;
use std::time::Duration;

use gemini_backend::gemini::{Client, Error, FinishReason, Timeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::{Heard, ask, client_of, hear, patient, settings};

/// Answers one request with these pieces, each flushed apart, then closes.
async fn serve(listener: TcpListener, status: &str, pieces: Vec<Vec<u8>>) {
    let (mut socket, _) = listener.accept().await.expect("a client");
    let mut request = vec![0; 64 * 1024];
    let _ = socket.read(&mut request).await.expect("a request");
    socket.set_nodelay(true).expect("a socket");
    socket.write_all(status.as_bytes()).await.expect("written");
    for piece in pieces {
        // A client that has heard enough may be gone.
        if socket.write_all(&piece).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    let _ = socket.shutdown().await;
    let _ = socket.read(&mut request).await;
}

/// Answers one request with `body` and then waits until the client hangs up.
async fn serve_without_end(listener: TcpListener, body: &str) {
    let (mut socket, _) = listener.accept().await.expect("a client");
    let mut request = vec![0; 64 * 1024];
    let _ = socket.read(&mut request).await.expect("a request");
    socket.write_all(format!("{GOOD_HEAD}{body}").as_bytes()).await.expect("written");
    while socket.read(&mut request).await.is_ok_and(|count| count > 0) {}
}

/// Hears a body that is cut into pieces of `size` bytes.
async fn hear_bytes(body: &[u8], size: usize) -> Heard {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address: SocketAddr = listener.local_addr().expect("an address");
    let client = client_of(&format!("http://{address}"));
    let request = ask("hi");
    let pieces = body.chunks(size.max(1)).map(<[u8]>::to_vec).collect();
    let ((), heard) = tokio::join!(serve(listener, GOOD_HEAD, pieces), hear(&client, &request));
    heard
}

const GOOD_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
const GOOD: &str = concat!(
    "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"नमस्ते \"}],\"role\": \"model\"},\"index\": 0}]}\r\n\r\n",
    "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"secret\", \"thought\": true}, {\"text\": \"👩‍👩‍👧!\"}]}}]}\r\n\r\n",
    "data: {\"candidates\": [{\"finishReason\": \"STOP\", \"index\": 0, \"newThing\": {}}], \"promptFeedback\": {}}\r\n\r\n",
    "data: {\"usageMetadata\": {\"promptTokenCount\": 4, \"candidatesTokenCount\": \"7\", \"totalTokenCount\": 11, \"x\": []}}\r\n\r\n",
);

#[tokio::test]
async fn pieces_of_any_size_make_the_same_answer() {
    for size in [1, 2, 3, 7, 64, 100_000] {
        let heard = hear_bytes(GOOD.as_bytes(), size).await;
        assert_eq!((heard.text.as_str(), heard.thoughts.as_str()), ("नमस्ते 👩‍👩‍👧!", "secret"), "{size}");
        let usage = heard.outcome().usage.expect("counted");
        assert_eq!((usage.prompt, usage.completion, usage.total), (4, 7, 11));
    }
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_is_never_taken_for_whole() {
    let finish = GOOD.find("\"finishReason\"").expect("there");
    // Once the finish reason's line is whole the answer is, whatever happens to the count after it.
    let whole = finish + GOOD[finish..].find('\n').expect("a line") - 1;
    for end in 0..GOOD.len() {
        let heard = hear_bytes(&GOOD.as_bytes()[..end], 100_000).await;
        match &heard.end {
            Some(Ok(_)) => assert!(end >= whole, "cut at {end}"),
            Some(Err(Error::Cut(_))) => assert!(end < whole, "cut at {end}"),
            other => panic!("cut at {end}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_no_server_should_send() {
    let finish = "data: {\"candidates\": [{\"finishReason\": \"STOP\"}]}\n\n";
    for (body, text, code) in [
        ("", "", "upstream_cut"),
        ("<html>Bad gateway</html>", "", "upstream_cut"),
        ("data: not json\n\n", "", "upstream_cut"),
        ("data: {\"candidates\": []}\n\n", "", "upstream_cut"),
        ("data: {\"candidates\": [{\"finishReason\": \"FINISH_REASON_UNSPECIFIED\"}]}\n\n", "", "upstream_cut"),
        ("data: {\"candidates\": null, \"usageMetadata\": null, \"error\": null}\n\n", "", "upstream_cut"),
        (
            "{\n  \"error\": {\n    \"code\": 503,\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n",
            "",
            "upstream_unavailable",
        ),
        (
            "[{\n  \"error\": {\n    \"code\": 400,\n    \"status\": \"INVALID_ARGUMENT\"\n  }\n}\n]",
            "",
            "upstream_rejected",
        ),
        ("data: {\"error\": {\"message\": \"odd\"}}\n\n", "", "upstream_unavailable"),
        ("data: {\"error\": \"odd\"}\n\n", "", "upstream_unavailable"),
    ] {
        let heard = hear_bytes(body.as_bytes(), 11).await;
        assert_eq!((heard.text.as_str(), heard.error().code()), (text, code), "{body}");
    }
    let one = "[{\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"whole\"}]}}]}\n,\r\n";
    let whole = format!("{one}{{\"candidates\": [{{\"finishReason\": \"STOP\"}}]}}\n]");
    let heard = hear_bytes(whole.as_bytes(), 5).await;
    assert_eq!((heard.text.as_str(), heard.outcome().finish_reason), ("whole", FinishReason::Stop));
    let late_block = format!(
        "{}data: {{\"promptFeedback\": {{\"blockReason\": \"SAFETY\"}}}}\n\n",
        &GOOD[..GOOD.find("\r\n").expect("there") + 4]
    );
    let heard = hear_bytes(late_block.as_bytes(), 50).await;
    assert_eq!((heard.text.as_str(), heard.outcome().finish_reason), ("नमस्ते ", FinishReason::Safety));
    let error_after_the_end = format!("{finish}data: {{\"error\": {{\"code\": 500}}}}\n\n");
    assert_eq!(hear_bytes(error_after_the_end.as_bytes(), 50).await.outcome().finish_reason, FinishReason::Stop);
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let status =
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let client = client_of(&format!("http://{address}"));
    let request = ask("hi");
    let ((), heard) = tokio::join!(serve(listener, status, Vec::new()), hear(&client, &request));
    assert_eq!((heard.error().code(), heard.error().is_passing()), ("upstream_rejected", false));
}

#[tokio::test]
async fn after_the_finish_reason_nothing_is_waited_for_long() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let limits = Timeouts { idle: Duration::from_millis(100), ..patient() };
    let client = Client::with_timeouts(&settings(&format!("http://{address}"), None), limits).expect("a client");
    let request = ask("hi");
    let body = &GOOD[..GOOD.find("data: {\"usageMetadata\"").expect("there")];
    let ((), heard) = tokio::join!(serve_without_end(listener, body), hear(&client, &request));
    let outcome = heard.outcome();
    assert_eq!((heard.text.as_str(), outcome.finish_reason, outcome.usage), ("नमस्ते 👩‍👩‍👧!", FinishReason::Stop, None));
}
