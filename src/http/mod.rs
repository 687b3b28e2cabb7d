//! The kit that every feature's `http.rs` is made from: errors as problem+json, extractors, pages, request ids.

mod body;
mod client_address;
mod download;
mod error;
mod idempotency;
mod json;
mod json_flaw;
pub mod openapi;
pub mod outgoing;
mod page;
mod path;
pub mod prefer;
mod query;
pub mod rate_limit;
pub mod replay;
pub mod request_id;
pub mod sse;
mod upload;

pub use body::{BODY_TIME, read_body};
pub use client_address::{ClientAddress, host};
pub use download::{Cut, Outlet, download, file_stem, stored};
pub use error::{ApiError, Code, FieldError, Problem};
pub use idempotency::IdempotencyKey;
pub use json::Json;
pub use page::{Cursor, List, Page};
pub use path::Path;
pub use query::Query;
pub use upload::{UPLOAD_TIME, Uploaded, read_upload};
