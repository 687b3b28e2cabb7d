//! What wrong settings, production's refusals and `config` say.

use serde_json::Value;

use crate::client::Client;
use crate::process::{Running, error, folder, run, succeed};

#[test]
fn wrong_settings_are_told_together_before_anything_happens() {
    let folder = folder();
    let wrong = [("PORT", "seventy"), ("OTP_TTL_SECONDS", "forever"), ("DATABASE_URL", "mysql://hunter2@db/x")];
    for arguments in [&["serve"][..], &["worker"], &["migrate"], &["config"], &[]] {
        let output = run(folder.path(), arguments, &wrong);
        let told = error(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        for (name, _) in wrong {
            assert!(
                told.lines().any(|line| line.trim_start().starts_with(&format!("{name}: "))),
                "{arguments:?}: {told}"
            );
        }
        assert!(!told.contains("hunter2"), "{told}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[test]
fn production_refuses_to_start_unprepared() {
    let folder = folder();
    let output = run(folder.path(), &["serve"], &[("APP_ENV", "production"), ("CORS_ALLOWED_ORIGINS", "*")]);
    assert_eq!(output.status.code(), Some(2));
    let told = error(&output);
    for name in ["SECRET_KEY", "OTP_DELIVERY", "CORS_ALLOWED_ORIGINS", "GEMINI_API_KEY"] {
        assert!(told.contains(&format!("{name}: ")), "{told}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[tokio::test]
async fn production_starts_with_what_it_needs_and_shows_no_code() {
    let folder = folder();
    let sandbox = Running::start(folder.path(), &["--json", "sandbox", "gemini", "--no-key"], &[]);
    let gemini = sandbox.base();
    let settings = [
        ("APP_ENV", "production"),
        ("SECRET_KEY", "5b1e0c7a94d2f6838e1f07b3c9a4d526"),
        ("GEMINI_BASE_URL", &gemini),
        ("OTP_DELIVERY", "webhook"),
        ("SMS_WEBHOOK_URL", "http://127.0.0.1:9/send"),
        ("SMS_WEBHOOK_SECRET", "c1f0-9a2b-77de-4410"),
        ("SMS_COUNTRIES", "IN"),
        ("ALLOW_OTP_IN_RESPONSE", "true"),
    ];
    let server = Running::server(folder.path(), &settings);
    assert!(server.facts()["sandbox"].is_null());
    let body = serde_json::json!({"mobile": "+919876543210"});
    let (status, sent) = Client::new(server.base()).post("/auth/send-otp", &body).await;
    assert_eq!((status, sent.get("otp")), (200, None), "{sent}");
    assert!(!folder.path().join("data/secret").exists());
    server.stop();
    sandbox.stop();
}

#[test]
fn config_shows_what_is_in_force_and_no_secret() {
    let folder = folder();
    std::fs::write(folder.path().join(".env"), "JWT_SECRET=hunter-of-the-file\nLOG_LEVEL=debug\n").expect("a .env");
    let settings = [
        ("GEMINI_API_KEY", "hunter-8kq81mZ0Vtx7"),
        ("DATABASE_URL", "postgres://ada:hunter2@db/chat"),
        ("METRICS_TOKEN", "hunter-77de"),
    ];
    let text = succeed(folder.path(), &["config"], &settings);
    assert!(!text.contains("hunter"), "{text}");
    assert!(text.contains("postgres://ada:********@db/chat"), "{text}");
    let shown: Value = serde_json::from_str(&succeed(folder.path(), &["config", "--json"], &settings)).expect("JSON");
    assert!(!shown.to_string().contains("hunter"), "{shown}");
    let setting = |name: &str| {
        let all = shown["settings"].as_array().expect("a list");
        all.iter().find(|setting| setting["name"] == name).cloned().expect("every setting is there")
    };
    assert_eq!(setting("SECRET_KEY")["origin"], ".env as JWT_SECRET");
    assert_eq!(setting("SECRET_KEY")["value"], "********");
    assert_eq!(setting("LOG_LEVEL")["value"], "debug");
    assert_eq!(setting("LOG_LEVEL")["default"], "info");
    assert_eq!(setting("BIND")["origin"], "default");
}

#[test]
fn the_example_is_a_file_to_start_from() {
    let folder = folder();
    let example = succeed(folder.path(), &["config", "--example"], &[]);
    assert_eq!(example, include_str!("../../.env.example"));
    std::fs::write(folder.path().join(".env"), example).expect("a .env");
    let shown = succeed(folder.path(), &["config"], &[]);
    assert!(!shown.contains("note:"), "{shown}");
}
