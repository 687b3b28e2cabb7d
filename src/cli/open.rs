//! What most commands begin with: the settings, and what they lead to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use super::out::WrongSettings;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Environment, Loaded, Settings, take_passing_secret};
use crate::store::{self, Store};

/// The settings in force here, from the environment and `.env` in the working folder.
pub(super) fn settings() -> super::Result<Loaded> {
    let environment = Environment::of_process(Path::new(".")).map_err(|problem| WrongSettings(vec![problem]))?;
    Ok(Settings::load(&environment).map_err(WrongSettings)?)
}

/// Refuses to go on where `serve` or `migrate` has not made the database: a command run in the wrong folder must say so,
/// not look into an empty one.
pub(super) fn must_be_there(settings: &Settings) -> super::Result {
    match missing_file(settings) {
        None => Ok(()),
        Some(file) => anyhow::bail!(
            "there is no database yet: {} is not there. `gemini-backend serve` makes it, so does `gemini-backend migrate`; \
             DATABASE_URL says another place",
            file.display()
        ),
    }
}

/// The SQLite file, if there is nothing in it yet.
pub(super) fn missing_file(settings: &Settings) -> Option<PathBuf> {
    settings.database.file().filter(|file| std::fs::metadata(file).map_or(true, |file| file.len() == 0))
}

/// The database, whatever its schema; a missing SQLite file is made.
pub(super) async fn database(settings: &Settings) -> super::Result<Store> {
    Ok(store::connect(&settings.database.url, settings.database.max_connections).await?)
}

/// The database, ready for work: brought up to date, unless `AUTO_MIGRATE` leaves that to `migrate`.
pub(super) async fn store(settings: &Settings) -> super::Result<Store> {
    let store = database(settings).await?;
    if settings.database.auto_migrate && store::pending(&store).await? > 0 {
        store::migrate(&store).await.context("AUTO_MIGRATE")?;
    }
    must_be_up_to_date(&store).await?;
    Ok(store)
}

async fn must_be_up_to_date(store: &Store) -> super::Result {
    let pending = store::pending(store).await?;
    anyhow::ensure!(pending == 0, "{pending} migrations have not run on this database: gemini-backend migrate");
    Ok(())
}

/// What a short command works with. It may run beside a server, an older one too: the schema is left to others.
pub(super) async fn app() -> super::Result<Arc<App>> {
    let mut settings = settings()?.settings;
    must_be_there(&settings)?;
    take_passing_secret(&mut settings);
    let store = database(&settings).await?;
    must_be_up_to_date(&store).await?;
    app_on(settings, store).await
}

/// An app whose clock is the one that counts for this database.
pub(super) async fn app_on(settings: Settings, store: Store) -> super::Result<Arc<App>> {
    let clock = if store.is_embedded() { Clock::system() } else { Clock::of_database() };
    let app = App::new(settings, store, clock)?;
    app.measure_clock().await?;
    Ok(app)
}
