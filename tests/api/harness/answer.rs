//! A request being put together, and the answer to it.

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::contract;

/// A request on its way. Sent, its answer is held against the OpenAPI document.
#[must_use = "nothing is sent before send"]
pub(crate) struct Call {
    request: RequestBuilder,
    base_path: String,
}

impl Call {
    pub(super) fn new(request: RequestBuilder, base_path: String) -> Self {
        Self { request, base_path }
    }

    pub(crate) fn header<V>(mut self, name: &str, value: V) -> Self
    where
        HeaderValue: TryFrom<V, Error: Into<axum::http::Error>>,
    {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.request = self.request.json(body);
        self
    }

    /// A body as it is, with its content type; an empty type is none.
    pub(crate) fn body(mut self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        if !content_type.is_empty() {
            self.request = self.request.header("content-type", content_type);
        }
        self.request = self.request.body(body);
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let base_path = self.base_path.clone();
        let (method, path, mut response) = self.execute().await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = if is_events(&headers) {
            // They may have no end.
            response.chunk().await.expect("a first event").unwrap_or_default()
        } else {
            response.bytes().await.expect("a whole answer")
        };
        let answer = Answer { status, headers, body: body.to_vec() };
        let path = path.strip_prefix(&base_path).unwrap_or(&path);
        contract::hold(&method, path, &answer);
        answer
    }

    /// Sends it and reads no further than the head of an answer with events.
    pub(super) async fn open(self) -> reqwest::Response {
        let base_path = self.base_path.clone();
        let (method, path, response) = self.execute().await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        assert!(status == 200 && is_events(&headers), "{}", response.text().await.unwrap_or_default());
        let path = path.strip_prefix(&base_path).unwrap_or(&path);
        contract::hold(&method, path, &Answer { status, headers, body: b"retry: 2000".to_vec() });
        response
    }

    async fn execute(self) -> (Method, String, reqwest::Response) {
        let (client, request) = self.request.build_split();
        let request = request.expect("a request that can be sent");
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        (method, path, client.execute(request).await.expect("an answer"))
    }
}

fn is_events(headers: &HeaderMap) -> bool {
    headers.get("content-type").is_some_and(|kind| kind == "text/event-stream")
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header of visible characters"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The word of a problem.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_else(|| panic!("no code in {}", self.text())).to_owned()
    }

    /// Fails unless the status is this one, and shows what came instead.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}
