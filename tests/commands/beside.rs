//! A server, and commands beside it on the same database: PostgreSQL if there is one, else a file.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::database::Postgres;
use crate::process::{Running, folder, succeed};

pub(crate) struct Beside {
    folder: TempDir,
    postgres: Option<Postgres>,
    settings: Vec<(&'static str, String)>,
    pub(crate) server: Running,
}

impl Beside {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(settings: &[(&'static str, &str)]) -> Self {
        let (folder, postgres) = (folder(), Postgres::create().await);
        let mut settings: Vec<_> = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        settings.extend(postgres.iter().map(|postgres| ("DATABASE_URL", postgres.url("postgres"))));
        let borrowed: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = Running::server(folder.path(), &borrowed);
        Self { folder, postgres, settings, server }
    }

    pub(crate) fn settings(&self) -> Vec<(&str, &str)> {
        self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What a command says, which has to succeed.
    pub(crate) fn told(&self, arguments: &[&str]) -> Value {
        let arguments = [&["--json"], arguments].concat();
        serde_json::from_str(&succeed(self.path(), &arguments, &self.settings())).expect("JSON")
    }

    pub(crate) fn users(&self, arguments: &[&str]) -> Value {
        self.told(&[&["users"], arguments].concat())
    }

    /// The same server once more, after an end by SIGTERM or by `kill -9`.
    pub(crate) fn again(self, is_gentle: bool) -> Self {
        let Self { folder, postgres, settings, server } = self;
        if is_gentle {
            server.stop();
        } else {
            drop(server);
        }
        let borrowed: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let server = Running::server(folder.path(), &borrowed);
        Self { folder, postgres, settings, server }
    }

    pub(crate) async fn end(self) {
        self.server.stop();
        if let Some(postgres) = self.postgres {
            postgres.drop().await;
        }
    }
}
