//! What most commands begin with: the settings, and what they lead to.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::out::WrongSettings;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Environment, Loaded, Settings, keep_development_secret};
use crate::store::{self, Store};

/// The settings in force here, from the environment and `.env` in the working folder.
pub(super) fn settings() -> super::Result<Loaded> {
    let environment = Environment::of_process(Path::new(".")).map_err(|problem| WrongSettings(vec![problem]))?;
    Ok(Settings::load(&environment).map_err(WrongSettings)?)
}

/// The database, whatever its schema.
pub(super) async fn database(settings: &Settings) -> super::Result<Store> {
    Ok(store::connect(&settings.database.url, settings.database.max_connections).await?)
}

/// The database, ready for work: brought up to date, unless `AUTO_MIGRATE` leaves that to `migrate`.
pub(super) async fn store(settings: &Settings) -> super::Result<Store> {
    let store = database(settings).await?;
    let pending = store::pending(&store).await?;
    if pending > 0 && settings.database.auto_migrate {
        store::migrate(&store).await.context("AUTO_MIGRATE")?;
    } else if pending > 0 {
        anyhow::bail!("{pending} migrations have not run on this database: gemini-backend migrate");
    }
    Ok(store)
}

/// What a short command works with; it may run beside a server.
pub(super) async fn app() -> super::Result<Arc<App>> {
    let mut settings = settings()?.settings;
    keep_development_secret(&mut settings)?;
    let store = store(&settings).await?;
    app_on(settings, store).await
}

/// An app whose clock is the one that counts for this database.
pub(super) async fn app_on(settings: Settings, store: Store) -> super::Result<Arc<App>> {
    let clock = if store.is_embedded() { Clock::system() } else { Clock::of_database() };
    let app = App::new(settings, store, clock)?;
    app.measure_clock().await?;
    Ok(app)
}
