//! Commands that print something or stand in for something.

use std::collections::BTreeMap;
use std::path::Path;

use gemini_backend::sandbox::gemini::{Card, Options, start};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::process::{Running, folder, run, succeed};

#[test]
fn openapi_needs_no_server() {
    let folder = folder();
    let printed = succeed(folder.path(), &["openapi", "--server", "https://chat.example.com"], &[]);
    let document: Value = serde_json::from_str(&printed).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{document}");
    assert!(document["paths"]["/healthz"].is_object());
    assert!(printed.contains("https://chat.example.com"));
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[test]
fn completions_know_the_commands() {
    let folder = folder();
    for shell in ["bash", "zsh", "fish"] {
        let script = succeed(folder.path(), &["completions", shell], &[]);
        assert!(script.contains("set-plan"), "{shell}");
    }
}

#[test]
fn migrate_says_what_ran() {
    let folder = folder();
    let pending = |arguments: &[&str]| {
        let told: Value = serde_json::from_str(&succeed(folder.path(), arguments, &[])).expect("JSON");
        (told["pending"].as_u64().expect("a number"), told["ran"].as_u64().expect("a number"))
    };
    let (pending_after, ran) = pending(&["migrate", "--json"]);
    assert!(ran > 0 && pending_after == 0);
    assert_eq!(pending(&["migrate", "--dry-run", "--json"]), (0, 0));
    assert_eq!(pending(&["migrate", "--json"]), (0, 0));
}

#[test]
fn without_auto_migrate_an_old_schema_is_refused() {
    let folder = folder();
    let output = run(folder.path(), &["serve"], &[("AUTO_MIGRATE", "false"), ("BIND", "127.0.0.1:0")]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("gemini-backend migrate"), "{told}");
}

#[test]
fn doctor_finds_nothing_wrong_with_a_new_place_and_leaves_nothing_there() {
    let folder = folder();
    let told: Value = serde_json::from_str(&succeed(folder.path(), &["doctor", "--json"], &[])).expect("JSON");
    assert_eq!(told["ok"], true, "{told}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    let broken = [("GEMINI_BASE_URL", "http://127.0.0.1:9"), ("GEMINI_API_KEY", "real-looking-9f2c4be1d07a")];
    let output = run(folder.path(), &["doctor"], &broken);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("gemini") && told.contains("WRONG"), "{told}");
    assert!(!told.contains("9f2c4be1d07a"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_early_of_models_that_will_be_gone() {
    let mut retiring = Card::new("model-that-retires", 1_000, 200);
    "It is deprecated and will be shut down in spring.".clone_into(&mut retiring.description);
    let models = vec![retiring, Card::new("model-that-stays", 1_000, 200)];
    let options = Options { require_key: false, models, ..Options::default() };
    let stop = CancellationToken::new();
    let _end = stop.clone().drop_guard();
    let gemini = start(([127, 0, 0, 1], 0).into(), options, stop).await.expect("a free port").base_url();
    let folder = folder();
    let settings = [
        ("GEMINI_BASE_URL", gemini.as_str()),
        ("GEMINI_MODEL", "model-that-retires"),
        ("GEMINI_FALLBACK_MODELS", "model-that-stays,model-that-is-gone"),
    ];
    let told = succeed(folder.path(), &["doctor"], &settings);
    for words in ["will retire model-that-retires", "knows model-that-stays", "model-that-is-gone is not among them"] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

/// All that is in the data folder, byte for byte.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder.join("data")).expect("the folder").map(|file| file.expect("a file"));
    files
        .map(|file| (file.file_name().into_string().expect("a name"), std::fs::read(file.path()).expect("read")))
        .collect()
}

#[test]
fn doctor_tells_where_attachments_lie_and_whether_it_can_be_reached() {
    let folder = folder();
    let found = |settings: &[(&str, &str)]| {
        let output = run(folder.path(), &["doctor", "--json"], settings);
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let findings = told["findings"].as_array().expect("findings").clone();
        let finding = findings.into_iter().find(|one| one["what"] == "attachments").expect("one about attachments");
        (finding["verdict"].clone(), finding["detail"].as_str().expect("words").to_owned())
    };
    let (verdict, detail) = found(&[]);
    assert!(verdict == "ok" && detail.ends_with("data/attachments"), "{verdict} {detail}");
    let nobody = [
        ("OBJECT_STORE_URL", "s3://files"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ];
    let (verdict, detail) = found(&nobody);
    assert!(verdict == "wrong" && detail.starts_with("the bucket files: "), "{verdict} {detail}");
    assert!(!detail.contains("hunter2"));
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[tokio::test]
async fn doctor_runs_beside_a_server_and_changes_nothing() {
    let folder = folder();
    let server = Running::server(folder.path(), &[]);
    let ada = Client::sign_in(server.base(), "+919876543210").await;
    ada.ended(&ada.say("Hello!").await).await;
    let look = || -> Value {
        let told: Value = serde_json::from_str(&succeed(folder.path(), &["doctor", "--json"], &[])).expect("JSON");
        assert_eq!(told["ok"], true, "{told}");
        told
    };
    let running = look();
    let told = |told: &Value, words: &str| {
        let findings = told["findings"].as_array().expect("findings");
        assert!(
            findings.iter().any(|finding| finding["detail"].as_str().is_some_and(|it| it.contains(words))),
            "{told}"
        );
    };
    told(&running, "one runs on");
    told(&running, "up to date");
    assert_eq!(ada.get("/user/me").await.0, 200);
    server.stop();
    let before = contents(folder.path());
    told(&look(), "is free");
    assert!(contents(folder.path()) == before, "{:?}", contents(folder.path()).keys());
}

#[tokio::test]
async fn the_gemini_sandbox_stands_alone() {
    let folder = folder();
    let arguments = ["sandbox", "gemini", "--words-per-second", "0", "--journal", "asked.jsonl", "--json"];
    let sandbox = Running::start(folder.path(), &arguments, &[]);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let models = format!("{}/v1beta/models", sandbox.base());
    let answer = client.get(&models).header("x-goog-api-key", "any").send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.expect("text").contains("gemini-3.8-flash"));
    assert_eq!(client.get(&models).send().await.expect("an answer").status(), 403);
    sandbox.stop();
    let journal = std::fs::read_to_string(folder.path().join("asked.jsonl")).expect("the journal");
    assert_eq!(journal.lines().count(), 2, "{journal}");
}

#[tokio::test]
async fn the_stripe_sandbox_stands_alone() {
    let folder = folder();
    let arguments =
        ["sandbox", "stripe", "--price", "price_mine", "--amount", "700", "--journal", "asked.jsonl", "--json"];
    let sandbox = Running::start(folder.path(), &arguments, &[]);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let price = format!("{}/v1/prices/price_mine", sandbox.base());
    let answer = client.get(&price).bearer_auth("sk_test_any").send().await.expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!((answer["unit_amount"].as_i64(), answer["currency"].as_str()), (Some(700), Some("inr")));
    assert_eq!(client.get(&price).send().await.expect("an answer").status(), 401);
    sandbox.stop();
    let journal = std::fs::read_to_string(folder.path().join("asked.jsonl")).expect("the journal");
    assert_eq!(journal.lines().count(), 2, "{journal}");
}
