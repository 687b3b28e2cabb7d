//! What is over goes: no table of sign-in grows without end, and nothing goes before its time.

use std::time::Duration;

use gemini_backend::{fetch_one, retention};
use serde_json::json;

use super::{ADA, BOB, other_than};
use crate::harness::TestApp;

async fn rows(app: &TestApp) -> [i64; 4] {
    let mut reader = app.app.store.read().await.expect("a connection");
    let mut counts = [0; 4];
    let tables = ["codes", "sessions", "signups", "number_marks"];
    for (table, count) in tables.iter().zip(&mut counts) {
        let sql = match *table {
            "codes" => "select count(*) from codes",
            "sessions" => "select count(*) from sessions",
            "signups" => "select count(*) from signups",
            _ => "select count(*) from number_marks",
        };
        *count = fetch_one!(&mut reader, (i64,), sql).expect("a count").0;
    }
    counts
}

/// Everything that sign-in leaves behind: a session that ended and one that lives, codes, a sign-up, marks.
async fn leave_traces(app: &TestApp) {
    let first = app.sign_in(ADA).await;
    app.as_user(&first, "POST", "/auth/logout").send().await.expect(204);
    app.tell("/auth/signup", json!({"mobile": BOB})).await.expect(201);
    let wrong = other_than(&app.code(ADA, "login").await);
    app.verify(ADA, &wrong).await.expect(401);
    app.obtain(ADA, "not a password").await.expect(401);
}

#[tokio::test]
async fn what_sign_in_leaves_behind_goes_in_time_and_not_before() {
    let app = TestApp::with(|settings| {
        settings.retention.batch = 2;
        settings.retention.spent_codes = Duration::from_hours(1);
    })
    .await;
    leave_traces(&app).await;
    let living = app.sign_in(BOB).await;
    let [codes, sessions, signups, marks] = rows(&app).await;
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!(rows(&app).await, [codes, sessions, signups, marks], "nothing is over yet");
    app.clock.advance(Duration::from_hours(23));
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!(rows(&app).await, [0, sessions, signups, marks], "what counts for a day is kept for a day");
    // Bob's verification took his sign-up along; one that nobody verifies waits a day.
    app.tell("/auth/signup", json!({"mobile": "9876543219"})).await.expect(201);
    app.clock.advance(Duration::from_hours(24 * 7));
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!(rows(&app).await, [0, 2, 0, 0]);
    app.refresh(&living.refresh).await.expect(200);
    app.clock.advance(Duration::from_hours(24 * 24));
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!(rows(&app).await, [0, 1, 0, 0]);
    app.clock.advance(Duration::from_hours(24 * 61));
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!(rows(&app).await, [0; 4]);
}

#[tokio::test]
async fn tables_stop_growing() {
    let app = TestApp::start().await;
    let mut sizes = Vec::new();
    for _ in 0..20 {
        leave_traces(&app).await;
        app.clock.advance(Duration::from_hours(24 * 10));
        retention::sweep(&app.app).await.expect("a sweep");
        sizes.push(rows(&app).await.iter().sum::<i64>());
    }
    assert!(sizes[19] <= sizes[6] && sizes[19] < 12, "{sizes:?}");
}
