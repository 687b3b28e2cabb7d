//! A database per test: a file in a folder of its own, or a fresh database on the server that `TEST_DATABASE_URL` names,
//! copied from a migrated one that stays there for the next run.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::str::FromStr;

use gemini_backend::store;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

static TEMPLATE: OnceCell<String> = OnceCell::const_new();

#[derive(Debug)]
pub(crate) struct Database {
    url: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder { _folder: TempDir },
    Server { server: String, name: String },
}

pub(crate) fn server() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the tests' own setting, none of the service's")]
    std::env::var("TEST_DATABASE_URL").ok().filter(|url| !url.is_empty())
}

impl Database {
    pub(crate) async fn create() -> Self {
        let Some(server) = server() else {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let url = format!("sqlite://{}", folder.path().join("test.db").display());
            return Self { url, place: Place::Folder { _folder: folder } };
        };
        let template = TEMPLATE.get_or_init(|| make_template(&server)).await;
        let name = format!("gemini_backend_test_{}", uuid::Uuid::now_v7().simple());
        let mut connection = connect(&server).await;
        // Copied as files instead of through the log: several times as fast where nothing waits for the disk. Before
        // version 15 there was no other way, and no word for it.
        let strategy = if connection.server_version_num() >= Some(150_000) { "strategy file_copy" } else { "" };
        let create = format!("create database {name} template {template} {strategy}");
        connection.execute(sqlx::AssertSqlSafe(create)).await.expect("a fresh database");
        Self { url: with_name(&server, &name), place: Place::Server { server, name } }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Removes the database and says how many jobs in it had not ended. Blocks: called where nothing can be awaited, so
    /// on a thread and a runtime of its own.
    pub(crate) fn end(&self) -> i64 {
        let work = async {
            let left = jobs_left(&self.url).await;
            if let Place::Server { server, name } = &self.place {
                let drop = format!("drop database if exists {name} with (force)");
                connect(server).await.execute(sqlx::AssertSqlSafe(drop)).await.expect("the database goes");
            }
            left
        };
        std::thread::scope(|threads| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            threads.spawn(move || runtime.block_on(work)).join().expect("the database's end")
        })
    }
}

/// Looks without leave to write: the service that is ending may hold the one writing transaction, and cannot go on while
/// this test's thread waits here.
async fn jobs_left(url: &str) -> i64 {
    // The comparison with Stripe never ends: it waits for its next time.
    const LEFT: &str = "select count(*) from jobs where state in ('queued', 'running') and kind <> 'sync_billing'";
    let left = if url.starts_with("sqlite:") {
        let options = SqliteConnectOptions::from_str(url).expect("an address of a file").read_only(true);
        let mut file = options.connect().await.expect("the test's database opens");
        sqlx::query_scalar(LEFT).fetch_one(&mut file).await
    } else {
        sqlx::query_scalar(LEFT).fetch_one(&mut connect(url).await).await
    };
    left.expect("the jobs are counted")
}

async fn connect(url: &str) -> PgConnection {
    let options = PgConnectOptions::from_str(url).expect("TEST_DATABASE_URL is an address of PostgreSQL");
    options.connect().await.expect("TEST_DATABASE_URL answers")
}

fn with_name(server: &str, name: &str) -> String {
    let mut url = url::Url::parse(server).expect("TEST_DATABASE_URL is a URL");
    url.set_path(name);
    url.into()
}

/// Named after what the migrations say, so that a changed schema gets a new one.
async fn make_template(server: &str) -> String {
    let mut hasher = DefaultHasher::new();
    hash_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations"), &mut hasher);
    let name = format!("gemini_backend_template_{:016x}", hasher.finish());
    let mut connection = connect(server).await;
    // Another run may be making it right now; migrating what is migrated does nothing.
    connection.execute("select pg_advisory_lock(4705321)").await.expect("a lock");
    let there = sqlx::query("select 1 from pg_database where datname = $1").bind(&name).fetch_optional(&mut connection);
    if there.await.expect("the list of databases").is_none() {
        let create = format!("create database {name}");
        connection.execute(sqlx::AssertSqlSafe(create)).await.expect("a template");
    }
    let store = store::connect(&with_name(server, &name), 1).await.expect("the template opens");
    store::migrate(&store).await.expect("the schema is made");
    store.close().await;
    name
}

fn hash_folder(folder: &Path, hasher: &mut DefaultHasher) {
    let entries = std::fs::read_dir(folder).expect("the migrations are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            hash_folder(&path, hasher);
        } else {
            std::fs::read(&path).expect("a migration").hash(hasher);
        }
    }
}
