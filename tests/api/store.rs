//! The store alone: what must hold of transactions whatever becomes of those who began them.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use gemini_backend::{execute, fetch_one, store, transaction};
use tokio::sync::Barrier;

use crate::harness::Database;

#[tokio::test]
async fn a_transaction_given_up_at_any_moment_leaves_its_connection_clean() {
    let database = Database::create().await;
    let store = store::connect(database.url(), 1).await.expect("the database opens");
    store::migrate(&store).await.expect("the schema is made");
    for micros in (0..3000).step_by(20) {
        let attempt = async {
            let mut tx = store.begin().await?;
            execute!(
                &mut tx,
                "insert into prompt_days (user_id, day, used) values ($1, 'never', 1)",
                uuid::Uuid::nil()
            )?;
            std::future::pending::<()>().await;
            tx.commit().await
        };
        let given_up = tokio::time::timeout(Duration::from_micros(micros), attempt).await;
        assert!(given_up.is_err(), "it waits for ever");
        let mut reader = store.read().await.expect("the connection is there again");
        let (left,) = fetch_one!(&mut reader, (i64,), "select count(*) from prompt_days").expect("an answer");
        assert_eq!(left, 0);
        if !store.is_embedded() {
            // In a transaction the time it began at stands still; outside of one it moves with each statement.
            let now = "select extract(epoch from now())::text";
            let (one,) = fetch_one!(&mut reader, (String,), now).expect("an answer");
            let (two,) = fetch_one!(&mut reader, (String,), now).expect("an answer");
            assert_ne!(one, two, "after {micros} µs the connection was left inside a transaction");
        }
    }
    store.close().await;
    assert_eq!(database.end(), 0);
}

/// Two transactions take the same two rows in opposite order: PostgreSQL gives one up, and it is repeated.
#[tokio::test]
async fn a_transaction_that_lost_to_another_is_repeated() {
    let database = Database::create().await;
    let store = store::connect(database.url(), 4).await.expect("the database opens");
    store::migrate(&store).await.expect("the schema is made");
    let rows = [uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2)];
    let add = "update prompt_days set used = used + 1 where user_id = $1";
    transaction!(store, |tx| {
        for row in rows {
            execute!(tx, "insert into prompt_days (user_id, day, used) values ($1, 'never', 0)", row)?;
        }
        Ok::<_, store::Error>(())
    })
    .expect("two rows");
    let (tries, meet) = (AtomicUsize::new(0), Barrier::new(2));
    let is_embedded = store.is_embedded();
    let both = async |first: uuid::Uuid, second: uuid::Uuid| {
        let mut is_alone = is_embedded;
        transaction!(store, |tx| {
            tries.fetch_add(1, SeqCst);
            execute!(tx, add, first)?;
            // SQLite lets one writer in at a time: there is nobody to meet.
            if !std::mem::replace(&mut is_alone, true) {
                meet.wait().await;
            }
            execute!(tx, add, second)?;
            Ok::<_, store::Error>(())
        })
    };
    let (one, other) = tokio::join!(both(rows[0], rows[1]), both(rows[1], rows[0]));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    assert_eq!(tries.load(SeqCst), if is_embedded { 2 } else { 3 });
    let mut reader = store.read().await.expect("a connection");
    let sum = "select cast(sum(used) as bigint) from prompt_days";
    assert_eq!(fetch_one!(&mut reader, (i64,), sum).expect("a sum"), (4,));
    drop(reader);
    store.close().await;
    assert_eq!(database.end(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("data").join("new.db");
    let store = store::connect(&format!("sqlite://{}", path.display()), 2).await.expect("the database opens");
    store::migrate(&store).await.expect("the schema is made");
    for name in ["new.db", "new.db-wal", "new.db-shm"] {
        let mode = std::fs::metadata(path.with_file_name(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    store.close().await;
}
