//! The store alone: what must hold of transactions whatever becomes of those who began them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::future::join_all;
use gemini_backend::config::{Environment, OtpDelivery, Settings};
use gemini_backend::sandbox::gemini::Rule;
use gemini_backend::store::{Engine, On, Store};
use gemini_backend::{account, billing, execute, fetch_all, fetch_one, retention, store, transaction};
use sqlx::{AssertSqlSafe, Executor};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::auth::{ADA, other_than};
use crate::harness::files::png;
use crate::harness::{Database, TestApp, database_server, until};

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

/// Upgrades expand first: what is newer than a node does not keep it from starting.
#[tokio::test]
async fn a_node_older_than_the_schema_still_starts() {
    let app = TestApp::start().await;
    let newer = transaction!(app.app.store, |tx| {
        execute!(tx, "alter table chatrooms add column of_a_newer_version text")?;
        execute!(
            tx,
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             select 999, 'of a newer version', success, checksum, 0 from _sqlx_migrations where version = 1"
        )?;
        Ok::<_, store::Error>(())
    });
    newer.expect("the schema of a newer version");
    let older = app.reset(|_| {}).await;
    older.get("/readyz").send().await.expect(200);
    older.work();
    let ada = older.sign_up().await;
    assert_eq!(ada.hears(&ada.new_room().await, "hello").await["status"], "complete");
    older.stop().await;
}

/// Ten nodes on PostgreSQL begin at once on a database that nobody has migrated. A file has one owner: there it is ten tasks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_who_migrate_at_once_make_one_schema() {
    let (folder, name) = (tempfile::tempdir().expect("a temporary folder"), Uuid::now_v7().simple());
    let file = format!("sqlite://{}", folder.path().join("new.db").display());
    let (url, server) = match database_server() {
        Some(server) => {
            let mut url = url::Url::parse(&server).expect("an address");
            url.set_path(&format!("gemini_backend_empty_{name}"));
            (url.to_string(), Some(store::connect(&server, 1).await.expect("the server answers")))
        }
        None => (file, None),
    };
    tell(server.as_ref(), format!("create database gemini_backend_empty_{name}")).await;
    let mut nodes = Vec::new();
    for _ in 0..if server.is_some() { 10 } else { 1 } {
        nodes.push(store::connect(&url, 2).await.expect("the database opens"));
    }
    let all = join_all((0..10).map(|node| store::migrate(&nodes[node % nodes.len()]))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(store::pending(&nodes[0]).await.expect("an answer"), 0);
    for node in nodes {
        node.close().await;
    }
    tell(server.as_ref(), format!("drop database gemini_backend_empty_{name}")).await;
}

/// What only a server of databases can be told, and in no transaction.
async fn tell(server: Option<&Store>, what: String) {
    if let Some(Store::Postgres(pool)) = server {
        pool.execute(AssertSqlSafe(what)).await.expect("it is done");
    }
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
    // The one that begins again may meet the other once more.
    let tries = tries.load(SeqCst);
    assert!(if is_embedded { tries == 2 } else { tries > 2 }, "{tries} tries");
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

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let database = Database::create().await;
    let store = store::connect(database.url(), 2).await.expect("the database opens");
    store::migrate(&store).await.expect("the schema is made");
    let mut tx = store.begin().await.expect("a transaction");
    if store.is_embedded() {
        // 2 is FULL: the log is synced at every commit, not only when it is folded into the file.
        assert_eq!(fetch_one!(&mut tx, (i64,), "pragma synchronous").expect("a level"), (2,));
        assert_eq!(fetch_one!(&mut tx, (String,), "pragma journal_mode").expect("a mode"), ("wal".to_owned(),));
    } else {
        let (waits,) = fetch_one!(&mut tx, (String,), "show synchronous_commit").expect("a setting");
        assert_eq!(waits, "on");
    }
    drop(tx);
    store.close().await;
    assert_eq!(database.end(), 0);
}

/// Notes at the very commit, for each row that it wrote, what it waits for, and whether all it did was to renew a lease.
const WATCH: [&str; 2] = [
    "create table watched (place text, is_renewal boolean, waits text)",
    "create function watch() returns trigger language plpgsql as $$ begin
         insert into watched values (tg_table_name,
             tg_op = 'UPDATE' and tg_table_name = 'jobs' and to_jsonb(new) <> to_jsonb(old)
                 and to_jsonb(new) - 'lease_until' = to_jsonb(old) - 'lease_until',
             current_setting('synchronous_commit'));
         return null;
     end $$",
];

#[tokio::test]
async fn only_the_renewal_of_a_lease_does_not_wait_for_the_disk() {
    let app = TestApp::selling_with(|settings| {
        settings.gemini.context_summary = true;
        settings.gemini.context_max_tokens = 2_000;
    })
    .await;
    if app.app.store.is_embedded() {
        // All commits go through one connection: whoever relaxed it would have done it for everybody.
        live_a_life(&app).await;
        let mut tx = app.app.store.begin().await.expect("a transaction");
        assert_eq!(fetch_one!(&mut tx, (i64,), "pragma synchronous").expect("a level"), (2,));
        return;
    }
    let places = watch(&app).await;
    live_a_life(&app).await;
    let mut reader = app.app.store.read().await.expect("a connection");
    let sql = "select place, is_renewal, waits from watched group by place, is_renewal, waits";
    let seen = fetch_all!(&mut reader, (String, bool, String), sql).expect("what was seen");
    let expected = |place: String| (place.clone(), false, "on".to_owned());
    let renewal = ("jobs".to_owned(), true, "off".to_owned());
    let expected: BTreeSet<_> = places.into_iter().map(expected).chain([renewal]).collect();
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
}

/// Watches every table; their names, without those of the migrations.
async fn watch(app: &TestApp) -> Vec<String> {
    let mut tx = app.app.store.begin().await.expect("a transaction");
    let sql = "select tablename::text from pg_tables where schemaname = 'public' and tablename <> '_sqlx_migrations'";
    let places: Vec<String> =
        fetch_all!(&mut tx, (String,), sql).expect("tables").into_iter().map(|row| row.0).collect();
    let triggers = places.iter().map(|place| {
        format!(
            "create constraint trigger watching after insert or update or delete on {place}
             deferrable initially deferred for each row execute function watch()"
        )
    });
    let Engine::Postgres(connection) = tx.engine() else { panic!("it was looked at before") };
    for statement in WATCH.map(str::to_owned).into_iter().chain(triggers) {
        connection.execute(AssertSqlSafe(statement)).await.expect("it is watched");
    }
    tx.commit().await.expect("all is watched");
    places
}

/// Everything that writes: signing up and in, rooms, files, replies of all fates, a summary, an operator, a sweep, the account's end.
async fn live_a_life(app: &TestApp) {
    let ada = app.sign_up_with(ADA, "correct horse").await;
    app.obtain(ADA, "battery staple").await.expect(401);
    let otp = app.code(ADA, "login").await;
    app.verify(ADA, &other_than(&otp)).await.expect(401);
    app.refresh(&ada.refresh).await.expect(200);
    let bob = app.sign_up().await;
    let room = bob.new_room().await;
    assert_eq!(bob.hears(&room, "hello").await["status"], "complete");
    assert_eq!(bob.hears(&room, "[[sandbox:block]]").await["status"], "failed");
    app.gemini.script(Rule::words(3).hold(1));
    let key = ("idempotency-key", "one");
    let content = serde_json::json!({"content": "wait"});
    let path = format!("/chatroom/{room}/message");
    bob.call("POST", &path).header(key.0, key.1).json(&content).send().await.expect(202);
    app.until_held(1).await;
    let lease = app.app.settings.worker.lease;
    app.clock.advance(lease / 3);
    let renewed = app.clock.now().plus(lease);
    let is_renewed = async || {
        let mut reader = app.app.store.read().await.expect("a connection");
        let sql = "select count(*) from jobs where lease_until = $1";
        (fetch_one!(&mut reader, (i64,), sql, renewed).expect("leases").0 == 1).then_some(())
    };
    until("the lease is renewed", is_renewed).await;
    app.gemini.release();
    app.settle().await;
    // What was claimed raises the queue's floor within a second.
    until("the floor is raised", async || (app.count("select vtime from queue_floor").await > 0).then_some(())).await;
    bob.set_plan(gemini_backend::auth::Plan::Pro).await;
    let file = bob.uploads(&room, "a.png", &png(100)).await;
    bob.say_with(&room, "look", &[&file]).await.expect(202);
    for _ in 0..8 {
        bob.hears(&room, &"and so on ".repeat(150)).await;
    }
    gemini_backend::chat::index_older(&app.app).await.expect("older messages are indexed");
    bob.call("DELETE", &format!("/chatroom/{room}")).send().await.expect(204);
    spend_money(app).await;
    app.clock.advance(Duration::from_hours(24 * 400));
    retention::sweep(&app.app).await.expect("a sweep");
    account::erase(&app.app, bob.user).await.expect("bob is gone");
}

/// Pro bought and refunded, the comparison with Stripe, a code that costs something.
async fn spend_money(app: &TestApp) {
    let eve = app.sign_up().await;
    eve.buys().await;
    let charges = app.stripe("GET", "charges", &[]).await;
    app.stripe("POST", "refunds", &[("charge", charges["data"][0]["id"].as_str().expect("a charge"))]).await;
    app.hear().await;
    billing::sync(&app.app, false).await.expect("Stripe is there");
    app.settle().await;
    let prices = Environment::new([("SMS_PRICES", "*=1")], "");
    let texting = app
        .reset(|settings| {
            settings.sms = Settings::load(&prices).expect("valid settings").settings.sms;
            let url = "http://127.0.0.1:9".parse().expect("an address");
            settings.auth.otp_delivery = OtpDelivery::Webhook { url, secret: "secret".into() };
        })
        .await;
    texting.tell("/auth/send-otp", serde_json::json!({"mobile": ADA})).await.expect(200);
    // The process that works has not heard of it.
    app.app.live.ring_for_jobs();
    app.settle().await;
}
