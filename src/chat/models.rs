//! The models there are to choose from: what Gemini lists and what the settings name, as far as the plan gives them.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::auth::Plan;
use crate::config;
use crate::gemini::{CATALOG_PAUSE, Listed, Model};

/// How often the models are looked after.
const LOOK_EVERY: Duration = Duration::from_mins(10);

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
    let mut names: Vec<&str> =
        models.iter().map(|model| model.name.as_str()).chain(named(&app.settings.gemini)).collect();
    names.sort_unstable();
    names.dedup();
    let offered = names.into_iter().filter(|name| gives(&app.settings.gemini, plan, name)).map(|name| {
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
    if !gives(&app.settings.gemini, plan, name) {
        return false;
    }
    named(&app.settings.gemini).any(|known| known == name)
        || match listed(app).await {
            Listed::Now(models) => models.iter().any(|known| known.name == name),
            Listed::Before(_) | Listed::Never => true,
        }
}

/// What Gemini has, as far as it told.
pub(super) async fn listed(app: &App) -> Listed {
    app.models.read(&app.gemini, app.clock.now()).await
}

/// Whether a plan gives a model: Pro gives all, Basic those of `BASIC_MODELS` and the deployment's own.
pub(super) fn gives(gemini: &config::Gemini, plan: Plan, name: &str) -> bool {
    let basic = &gemini.basic_models;
    plan == Plan::Pro || basic.is_empty() || name == gemini.model || basic.iter().any(|given| given == name)
}

/// The models that the settings name.
fn named(gemini: &config::Gemini) -> impl Iterator<Item = &str> {
    std::iter::once(&gemini.model).chain(&gemini.fallback_models).map(String::as_str)
}

/// How a model stands that the settings name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Known,
    /// Gemini says that it will be gone.
    Retiring,
    /// Gemini has no such model: rooms that have it get their answers from `GEMINI_FALLBACK_MODELS`, or none.
    Gone,
}

/// How the models that the settings name stand among those that Gemini lists; the deployment's own comes first.
#[must_use]
pub fn standing<'a>(settings: &'a config::Gemini, models: &[Model]) -> Vec<(&'a str, Standing)> {
    let stands = |name: &'a str| match models.iter().find(|model| model.name == name) {
        None => (name, Standing::Gone),
        Some(model) if model.retires() => (name, Standing::Retiring),
        Some(_) => (name, Standing::Known),
    };
    named(settings).map(stands).collect()
}

/// Reports, until the app stops, models that are gone or will be: in the log once, in metrics as long as it is so.
pub async fn watch_models(app: Arc<App>) {
    let mut told: Vec<(String, Standing)> = Vec::new();
    while !app.stop.is_cancelled() {
        if let Listed::Now(models) = listed(&app).await {
            let stand = standing(&app.settings.gemini, &models);
            told = stand.into_iter().map(|(name, standing)| tell(name, standing, &told)).collect();
        }
        tokio::select! {
            () = app.stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn tell(name: &str, standing: Standing, told: &[(String, Standing)]) -> (String, Standing) {
    let number = |is_so: bool| f64::from(u8::from(is_so));
    let model = name.to_owned();
    metrics::gauge!("gemini_model_known", "model" => model.clone()).set(number(standing != Standing::Gone));
    metrics::gauge!("gemini_model_retiring", "model" => model.clone()).set(number(standing == Standing::Retiring));
    let now = (model, standing);
    if !told.contains(&now) {
        match standing {
            Standing::Known => {}
            Standing::Retiring => tracing::warn!(model = name, "Gemini will retire this model, says its description"),
            Standing::Gone => tracing::warn!(model = name, "Gemini has no such model (any more)"),
        }
    }
    now
}
