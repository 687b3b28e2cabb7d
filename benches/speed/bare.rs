//! What the server is compared with: axum with one handler that does the least that could answer.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use uuid::Uuid;

/// Runs until it is killed. `argument` is the file whose bytes to answer, for `select` with the database behind a space.
pub(crate) async fn run(word: &str, address: &str, argument: &str) -> anyhow::Result<()> {
    let address: SocketAddr = address.parse()?;
    let router = match word {
        "bytes" => bytes(std::fs::read(argument)?),
        "select" => {
            let (file, url) = argument.split_once(' ').context("file and database")?;
            select(std::fs::read(file)?, url).await?
        }
        _ => bail!("no bare handler is called {word}"),
    };
    axum::serve(TcpListener::bind(address).await?, router).await?;
    Ok(())
}

/// The same bytes every time.
fn bytes(body: Vec<u8>) -> Router {
    let body = bytes::Bytes::from(body);
    Router::new().route("/", get(move || async move { ([(CONTENT_TYPE, "application/json")], body) }))
}

/// One select by primary key, then the same bytes.
async fn select(body: Vec<u8>, url: &str) -> anyhow::Result<Router> {
    let pool = PgPoolOptions::new().max_connections(16).test_before_acquire(false).connect(url).await?;
    let (id,): (Uuid,) = sqlx::query_as("select id from users limit 1").fetch_one(&pool).await?;
    let body = bytes::Bytes::from(body);
    Ok(Router::new().route(
        "/",
        get(move || {
            let (pool, body) = (pool.clone(), body.clone());
            async move {
                match one_user(&pool, id).await {
                    Ok(_) => Ok(([(CONTENT_TYPE, "application/json")], body)),
                    Err(cause) => Err(cause.to_string()),
                }
            }
        }),
    ))
}

async fn one_user(pool: &PgPool, id: Uuid) -> sqlx::Result<(String, Option<String>, String, String, i64)> {
    sqlx::query_as("select mobile, username, role, plan, rooms_rev from users where id = $1")
        .bind(id)
        .fetch_one(pool)
        .await
}
