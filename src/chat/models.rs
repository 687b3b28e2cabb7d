//! The models there are to choose from: what Gemini lists and what the settings name, as far as the plan gives them.

use std::time::Duration;

use crate::app::App;
use crate::auth::Plan;
use crate::gemini::{CATALOG_PAUSE, Listed, Model};

/// A model that a room may have.
#[derive(Clone, Debug)]
pub struct Offered {
    pub name: String,
    pub display_name: Option<String>,
    /// Whether rooms that choose none get this one.
    pub is_default: bool,
    /// In tokens; None when Gemini does not say.
    pub input_token_limit: Option<u32>,
    pub output_token_limit: Option<u32>,
}

/// Gemini never told what models it has; it is asked again after this time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("Gemini's models could not be read yet")]
pub struct NeverListed {
    pub again_in: Duration,
}

/// What a plan lets its people choose from, by name. With Gemini down, what it said before.
pub async fn models(app: &App, plan: Plan) -> Result<Vec<Offered>, NeverListed> {
    let listed = listed(app).await;
    let models = listed.models().ok_or(NeverListed { again_in: CATALOG_PAUSE })?;
    let mut names: Vec<&str> = models.iter().map(|model| model.name.as_str()).chain(named(app)).collect();
    names.sort_unstable();
    names.dedup();
    let offered = names.into_iter().filter(|name| gives(plan, name)).map(|name| {
        let told: Option<&Model> = models.iter().find(|model| model.name == name);
        Offered {
            name: name.to_owned(),
            display_name: told.map(|model| model.display_name.clone()),
            is_default: name == app.settings.gemini.model,
            input_token_limit: told.and_then(|model| model.input_token_limit),
            output_token_limit: told.and_then(|model| model.output_token_limit),
        }
    });
    Ok(offered.collect())
}

/// Whether a room may be given this model. While Gemini does not tell what it has, any name will do: its failure must
/// not keep people from making rooms.
pub(super) async fn is_known(app: &App, plan: Plan, name: Option<&str>) -> bool {
    let Some(name) = name else { return true };
    if !gives(plan, name) {
        return false;
    }
    named(app).any(|known| known == name)
        || match listed(app).await {
            Listed::Now(models) => models.iter().any(|known| known.name == name),
            Listed::Before(_) | Listed::Never => true,
        }
}

/// What Gemini has, as far as it told.
pub(super) async fn listed(app: &App) -> Listed {
    app.models.read(&app.gemini, app.clock.now()).await
}

/// Where a plan is given less than another: today all give all.
const fn gives(plan: Plan, _name: &str) -> bool {
    match plan {
        Plan::Basic | Plan::Pro => true,
    }
}

/// The models that the settings name.
fn named(app: &App) -> impl Iterator<Item = &str> {
    let gemini = &app.settings.gemini;
    std::iter::once(&gemini.model).chain(&gemini.fallback_models).map(String::as_str)
}
