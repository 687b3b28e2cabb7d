//! The list of models over HTTP.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use crate::app::App;
use crate::auth::SignedIn;
use crate::chat::{self, Offered};
use crate::http::{ApiError, Json, List, Page};

/// A model that a chatroom may be given.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Model, example = json!({
    "name": "gemini-3.8-flash", "display_name": "Gemini 3.8 Flash", "default": true,
    "input_token_limit": 1_048_576, "output_token_limit": 65_536,
}))]
pub(super) struct ModelView {
    /// What `model` of a chatroom is set to.
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    /// Whether chatrooms that choose none get this one.
    default: bool,
    /// Tokens that it takes in; null: not known.
    #[schema(required)]
    input_token_limit: Option<u32>,
    /// Tokens that its answer may have; null: not known.
    #[schema(required)]
    output_token_limit: Option<u32>,
}

impl From<Offered> for ModelView {
    fn from(model: Offered) -> Self {
        Self {
            name: model.name,
            display_name: model.display_name,
            default: model.is_default,
            input_token_limit: model.input_token_limit,
            output_token_limit: model.output_token_limit,
        }
    }
}

#[utoipa::path(
    get, path = "/models", tag = "Models", params(Page),
    responses((status = 200, description = "The models that the caller's plan gives, by name", body = List<ModelView>)),
    extensions(("x-problems" = json!(["upstream_unavailable"]))),
    security(("bearer" = [])),
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    page: Page,
) -> Result<Json<List<ModelView>>, ApiError> {
    let after = page.after::<String>()?;
    let mut models = chat::models(&app, signed_in.plan).await?;
    models.retain(|model| after.as_ref().is_none_or(|after| model.name > *after));
    Ok(Json(List::of(models, &page, |model| model.name.clone(), ModelView::from)))
}
