//! `/openapi.json` and `/docs`: the document of this very server and a page to read and try it, without the internet.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::{ApiError, Code, Path};

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(document)).routes(routes!(page)).routes(routes!(asset))
}

/// The document and its page, made once a process.
pub(super) struct Document {
    json: Bytes,
    page: Bytes,
    initializer: Bytes,
}

impl Document {
    /// `base` is where browsers see the root of the service; the page answers with and without a slash at its end, so
    /// what it loads cannot be named relative to it.
    pub(super) fn new(document: &Value, base: &str) -> Self {
        let page = include_str!("docs.html").replace("{base}", base);
        let initializer = include_str!("docs.js").replace("{base}", base);
        Self { json: document.to_string().into(), page: page.into(), initializer: initializer.into() }
    }
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "Operations",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")))]
async fn document(Extension(document): Extension<Arc<Document>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.json.clone()).into_response()
}

/// A page to read and try the API
#[utoipa::path(get, path = "/docs", tag = "Operations",
    responses((status = 200, description = "The page", body = String, content_type = "text/html")))]
async fn page(Extension(document): Extension<Arc<Document>>) -> Response {
    ([(header::CONTENT_TYPE, "text/html")], document.page.clone()).into_response()
}

/// A part of that page
#[utoipa::path(get, path = "/docs/{file}", tag = "Operations", params(("file" = String, Path, example = "swagger-ui.css")),
    responses(
        (status = 200, description = "The file", content(
            (String = "text/css"), (String = "text/javascript"), (String = "text/html"), (String = "image/png"))),
    ),
    extensions(("x-problems" = json!(["not_found"]))))]
async fn asset(Path(file): Path<String>, Extension(document): Extension<Arc<Document>>) -> Result<Response, ApiError> {
    if file == "swagger-initializer.js" {
        return Ok(([(header::CONTENT_TYPE, "text/javascript")], document.initializer.clone()).into_response());
    }
    let config = Arc::new(utoipa_swagger_ui::Config::from("/openapi.json"));
    let file = utoipa_swagger_ui::serve(&file, config).map_err(ApiError::internal)?;
    let file = file.ok_or_else(|| ApiError::new(Code::NotFound))?;
    // Never copied: many may read slowly.
    let body = match file.bytes {
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    };
    let mut response = ([(header::CONTENT_TYPE, file.content_type)], body).into_response();
    if file.gzpipped {
        response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    }
    Ok(response)
}
