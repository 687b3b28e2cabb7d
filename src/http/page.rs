//! Lists in pages: `?limit=&cursor=` in, `{data, next_cursor}` out.
//!
//! A cursor holds the sort key of the last row that was given out, not a position: what does not change meanwhile is
//! neither missed nor seen twice. Clients must not look inside.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{ApiError, query};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;

/// Which part of a list is asked for. An extractor; beside it a handler may read more with [`Query`](super::Query).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub limit: u32,
    pub cursor: Option<Cursor>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl utoipa::IntoParams for Page {
    fn into_params(
        within: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
    ) -> Vec<utoipa::openapi::path::Parameter> {
        Asked::into_params(within)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::read(parts.uri.query().unwrap_or_default())
    }
}

impl Page {
    fn read(text: &str) -> Result<Self, ApiError> {
        let asked: Asked = query::read(text)?;
        let limit = asked.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(ApiError::field("limit", format!("must be between 1 and {MAX_LIMIT}")));
        }
        Ok(Self { limit, cursor: asked.cursor.filter(|cursor| !cursor.is_empty()).map(Cursor) })
    }

    /// The sort key behind which this page begins; none for the first page.
    ///
    /// # Errors
    /// 422 when the cursor was not made by [`Cursor::of`] from the same type.
    pub fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, ApiError> {
        self.cursor.as_ref().map(Cursor::key).transpose()
    }

    /// How many rows to ask the database for: one more than are shown tells whether there is a next page.
    #[must_use]
    pub const fn rows(&self) -> i64 {
        self.limit as i64 + 1
    }
}

/// An opaque place in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// # Panics
    /// Never for keys of numbers, strings and ids.
    #[must_use]
    pub fn of(key: &impl Serialize) -> Self {
        Self(URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).expect("a sort key is plain data")))
    }

    /// # Errors
    /// 422 when it was not made by [`Cursor::of`] from the same type.
    pub fn key<K: DeserializeOwned>(&self) -> Result<K, ApiError> {
        let key = URL_SAFE_NO_PAD.decode(&self.0).ok().and_then(|json| serde_json::from_slice(&json).ok());
        key.ok_or_else(|| ApiError::field("cursor", "is not a cursor of this list"))
    }
}

impl utoipa::PartialSchema for Cursor {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        let text = utoipa::openapi::schema::Type::String;
        utoipa::openapi::ObjectBuilder::new().schema_type(text).examples(["WzE3OTUyNTUyMDAwMDBd"]).into()
    }
}

impl utoipa::ToSchema for Cursor {}

/// One page of a list.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct List<T> {
    pub data: Vec<T>,
    /// Give it back as `cursor` for what follows; null at the end.
    #[schema(required)]
    pub next_cursor: Option<Cursor>,
}

impl<T> List<T> {
    /// A page from at most [`Page::rows`] rows: `key` is what the list is sorted by, `view` what is shown of a row.
    pub fn of<R, K: Serialize>(mut rows: Vec<R>, page: &Page, key: impl Fn(&R) -> K, view: impl FnMut(R) -> T) -> Self {
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| has_more).map(|last| Cursor::of(&key(last)));
        Self { data: rows.into_iter().map(view).collect(), next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_between_one_and_two_hundred() {
        assert_eq!(Page::read("archived=true").expect("no limit"), Page { limit: 50, cursor: None });
        assert_eq!(Page::read("limit=200&cursor=").expect("the largest"), Page { limit: 200, cursor: None });
        for query in ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=", "limit=1&limit=2"] {
            let error = Page::read(query).expect_err(query);
            assert_eq!(error.field_errors()[0].field, "limit", "{query}");
        }
    }

    #[test]
    fn the_next_page_begins_behind_the_last_row_shown() {
        let page = Page { limit: 2, cursor: None };
        let list = List::of(vec![30, 20, 10], &page, |row| (*row, "id"), |row| row);
        assert_eq!(list.data, [30, 20]);
        let next = Page { limit: 2, cursor: list.next_cursor };
        assert_eq!(next.after::<(i32, String)>().expect("our own cursor"), Some((20, "id".to_owned())));
        assert!(List::of(vec![10], &page, |row| *row, |row| row).next_cursor.is_none());
    }

    #[test]
    fn a_foreign_cursor_is_refused() {
        for text in ["x", "!!", "bnVsbA", "eyJhIjoxfQ"] {
            let page = Page { limit: 1, cursor: Some(Cursor(text.to_owned())) };
            assert_eq!(page.after::<(i64, String)>().expect_err(text).field_errors()[0].field, "cursor");
        }
    }
}
