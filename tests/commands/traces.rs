//! Traces go to the collector that the settings name, say where time was spent, and nothing of what people write.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::process::{Running, folder, log_in};

const ADA: &str = "+919876543210";

/// What a collector is sent: path, content type, body.
type Sent = (String, String, Vec<u8>);

/// Takes one request after the other, as small as a server can be.
fn collector() -> (String, mpsc::Receiver<Sent>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, sent) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            while let Some(request) = read(&mut BufReader::new(&stream)) {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("answered");
                if sender.send(request).is_err() {
                    return;
                }
            }
        }
    });
    (address, sent)
}

fn read(stream: &mut BufReader<&TcpStream>) -> Option<Sent> {
    let mut lines = stream.by_ref().lines().map(Result::unwrap_or_default);
    let path = lines.next().filter(|line| !line.is_empty())?.split(' ').nth(1)?.to_owned();
    let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let header = |wanted: &str| {
        let mut pairs = head.iter().filter_map(|line| line.split_once(": "));
        pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().expect("a length")];
    stream.read_exact(&mut body).expect("a body");
    Some((path, header("content-type"), body))
}

#[tokio::test]
async fn requests_and_replies_are_traced_without_what_people_write() {
    let (folder, (collector, sent)) = (folder(), collector());
    let server = Running::server(folder.path(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector)]);
    let ada = Client::sign_in(server.base(), ADA).await;
    let message = ada.ended(&ada.say("a remarkable sentence").await).await;
    // Sent at the latest when the process ends.
    server.stop();
    let sent: Vec<Sent> = sent.try_iter().collect();
    assert!(!sent.is_empty());
    assert!(sent.iter().all(|(path, kind, _)| path == "/v1/traces" && kind == "application/x-protobuf"));
    let all: Vec<u8> = sent.into_iter().flat_map(|(_, _, body)| body).collect();
    let has = |text: &str| all.windows(text.len()).any(|window| window == text.as_bytes());
    for told in ["gemini-backend", "POST /chatroom/{id}/message", "http.response.status_code", "request_id"] {
        assert!(has(told), "{told}");
    }
    for told in ["reply.attempt", "reply.outcome", "complete", message["model"].as_str().expect("a model")] {
        assert!(has(told), "{told}");
    }
    for kept in ["remarkable", "9876543210", ada.token.as_str(), message["content"].as_str().expect("text")] {
        assert!(!has(kept), "{kept}");
    }
}

#[tokio::test]
async fn a_collector_that_is_down_or_silent_costs_a_line_in_the_log() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silence = format!("http://{}", silent.local_addr().expect("an address"));
    for collector in ["http://127.0.0.1:9", silence.as_str()] {
        let folder = folder();
        let server = Running::server(folder.path(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", collector)]);
        let ada = Client::sign_in(server.base(), ADA).await;
        assert_eq!(ada.ended(&ada.say("Hello!").await).await["status"], "complete");
        let begun = Instant::now();
        server.stop();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let log = log_in(folder.path());
        assert!(log.contains("WARN") && log.contains("traces"), "{log}");
    }
}
