//! Search over HTTP.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::views::{ChatroomView, MessageView};
use crate::app::App;
use crate::auth::SignedIn;
use crate::chat::{self, Found};
use crate::http::{ApiError, Json, List, Page, Query};

const LONGEST_QUERY: usize = 200;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// What to look for: 1 to 200 characters, white space around them not counted. Messages have to have all of its words,
    /// in any order. Case and accents do not matter; a word of three letters or more stands for all that begin with it.
    /// There are no operators: whatever is typed is only text.
    #[param(min_length = 1, max_length = 200, example = "paris")]
    q: String,
}

/// A message that was found.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Found)]
pub(super) struct FoundView {
    message: MessageView,
    chatroom: ChatroomView,
    /// About 160 characters around the first hit, as HTML: each hit stands in `<mark>`, there is no other tag, and the text
    /// itself is escaped (`&amp;`, `&lt;`, `&gt;`, `&quot;`, `&#39;`).
    #[schema(example = "The capital of France is <mark>Paris</mark>.")]
    snippet: String,
}

impl From<Found> for FoundView {
    fn from(found: Found) -> Self {
        Self { message: found.message.into(), chatroom: found.chatroom.into(), snippet: found.snippet }
    }
}

#[utoipa::path(
    get, path = "/search", tag = "Messages", operation_id = "search", params(Page, Asked),
    responses((status = 200, description = "The caller's messages that have all of it, the best first", body = List<FoundView>)),
    security(("bearer" = [])),
)]
pub(super) async fn search(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    page: Page,
    Query(asked): Query<Asked>,
) -> Result<Json<List<FoundView>>, ApiError> {
    let text = asked.q.trim();
    if text.is_empty() || text.chars().count() > LONGEST_QUERY {
        return Err(ApiError::field("q", format!("must have 1 to {LONGEST_QUERY} characters")));
    }
    let found = chat::search(&app, signed_in.user, text, page.after()?, page.rows()).await?;
    Ok(Json(List::of(found, &page, |found| found.place, FoundView::from)))
}
