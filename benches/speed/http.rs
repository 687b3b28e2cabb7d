//! The smallest HTTP client that keeps its connection: what it costs is taken from the servers it measures.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

/// A request, ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    pub(crate) fn get(path: &str, token: Option<&str>) -> Self {
        Self::new("GET", path, &bearer(token), "")
    }

    pub(crate) fn post(path: &str, token: Option<&str>, body: &serde_json::Value) -> Self {
        Self::new("POST", path, &bearer(token), &body.to_string())
    }

    /// A webhook of Stripe's.
    pub(crate) fn signed(path: &str, signature: &str, body: &str) -> Self {
        Self::new("POST", path, &format!("stripe-signature: {signature}\r\n"), body)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn new(method: &str, path: &str, proof: &str, body: &str) -> Self {
        let length = body.len();
        Self(
            format!(
                "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{proof}content-type: application/json\r\n\
                 content-length: {length}\r\n\r\n{body}"
            )
            .into_bytes(),
        )
    }
}

fn bearer(token: Option<&str>) -> String {
    token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default()
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; an error when the status is no success.
    pub(crate) fn json(&self) -> anyhow::Result<serde_json::Value> {
        if !(200..300).contains(&self.status) {
            bail!("answered {}: {}", self.status, String::from_utf8_lossy(&self.body));
        }
        Ok(if self.body.is_empty() { serde_json::Value::Null } else { serde_json::from_slice(&self.body)? })
    }
}

/// One connection, one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufStream<TcpStream>,
    line: String,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufStream::new(stream), line: String::new() })
    }

    pub(crate) async fn send(&mut self, request: &Request) -> anyhow::Result<Answer> {
        timeout(PATIENCE, self.send_and_wait(request)).await.context("no answer in time")?
    }

    async fn send_and_wait(&mut self, request: &Request) -> anyhow::Result<Answer> {
        self.stream.write_all(&request.0).await?;
        self.stream.flush().await?;
        self.next_line().await?;
        let status = self.line.split(' ').nth(1).and_then(|word| word.parse().ok()).context("no status line")?;
        let (mut length, mut in_chunks) = (0, false);
        loop {
            self.next_line().await?;
            let Some((name, value)) = self.line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                in_chunks = true;
            }
        }
        let mut body = Vec::new();
        if in_chunks {
            self.read_chunks(&mut body).await?;
        } else {
            self.read_into(&mut body, length).await?;
        }
        Ok(Answer { status, body })
    }

    async fn read_into(&mut self, body: &mut Vec<u8>, more: usize) -> anyhow::Result<()> {
        let before = body.len();
        body.resize(before + more, 0);
        self.stream.read_exact(&mut body[before..]).await?;
        Ok(())
    }

    async fn read_chunks(&mut self, body: &mut Vec<u8>) -> anyhow::Result<()> {
        loop {
            self.next_line().await?;
            let length = usize::from_str_radix(&self.line, 16)?;
            self.read_into(body, length).await?;
            self.next_line().await?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    async fn next_line(&mut self) -> anyhow::Result<()> {
        self.line.clear();
        if self.stream.read_line(&mut self.line).await? == 0 {
            bail!("the server closed the connection");
        }
        self.line.truncate(self.line.trim_end().len());
        Ok(())
    }
}
