//! Each `.env` of the older systems starts the real server.
//!
//! The database's host is this machine's affair, so the environment names it: PostgreSQL with `TEST_DATABASE_URL`, else
//! a file.

use crate::database::Postgres;
use crate::process::{Running, folder};

async fn starts(sample: &str, settings: &[(&str, &str)], named: &str) {
    let folder = folder();
    std::fs::write(folder.path().join(".env"), sample).expect("the sample in place");
    let server = Running::server(folder.path(), settings);
    let facts = server.facts();
    let health = reqwest::get(format!("{}/healthz", server.base())).await.expect("an answer");
    assert_eq!(health.status(), 200);
    assert!(facts["sandbox"].is_string(), "a sample's key opens nothing: {facts}");
    let notes = facts["notes"].as_array().expect("a list");
    assert!(notes.iter().any(|note| note.as_str().is_some_and(|note| note.starts_with(named))), "{notes:?}");
    server.stop();
}

/// With the sample's own kind of address where there is a PostgreSQL.
async fn starts_on_postgres(sample: &str, scheme: &str, named: &str) {
    match Postgres::create().await {
        Some(postgres) => {
            starts(sample, &[("DATABASE_URL", &postgres.url(scheme))], named).await;
            postgres.drop().await;
        }
        None => starts(sample, &[FILE], named).await,
    }
}

const FILE: (&str, &str) = ("DATABASE_URL", "sqlite://chat.db");

#[tokio::test]
async fn django_starts() {
    starts(include_str!("../env/django.env"), &[], "DJANGO_SETTINGS_MODULE").await;
}

#[tokio::test]
async fn drf_starts() {
    let sample = include_str!("../env/drf.env");
    let Some(postgres) = Postgres::create().await else {
        return starts(sample, &[FILE], "STRIPE_BASIC_PRODUCT_ID").await;
    };
    let port = postgres.server.get_port().to_string();
    let parts = [
        ("POSTGRES_DB", postgres.name.as_str()),
        ("POSTGRES_USER", postgres.server.get_username()),
        ("POSTGRES_HOST", postgres.server.get_host()),
        ("POSTGRES_PORT", &port),
    ];
    starts(sample, &parts, "STRIPE_BASIC_PRODUCT_ID").await;
    postgres.drop().await;
}

#[tokio::test]
async fn fastapi_starts() {
    starts_on_postgres(include_str!("../env/fastapi.env"), "postgresql+asyncpg", "ALGORITHM").await;
}

#[tokio::test]
async fn express_starts() {
    starts_on_postgres(include_str!("../env/express.env"), "postgresql", "NODE_ENV").await;
}

#[tokio::test]
async fn flask_starts() {
    starts(include_str!("../env/flask.env"), &[], "CELERY_BROKER_URL").await;
}
