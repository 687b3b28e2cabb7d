//! The `.env` samples of the older systems, as their users have them.

use secrecy::ExposeSecret;

use super::*;

fn sample(file: &str) -> Loaded {
    let environment = Environment::new(Vec::<(String, String)>::new(), file);
    Settings::load(&environment).expect("every older sample starts a server in development")
}

fn key(settings: &Settings) -> &str {
    settings.auth.secret_keys[0].expose_secret()
}

#[test]
fn of_django() {
    let loaded = sample(include_str!("../../tests/env/django.env"));
    let settings = &loaded.settings;
    assert_eq!(settings.database.url, "sqlite://db.sqlite3");
    assert_eq!(key(settings), "django-insecure-k3#v$7x1m!q9z@p5w2r8t4y6u0i(o)_a=s+d");
    assert_eq!(settings.server.cors_allowed_origins, ["*"]);
    assert_eq!(settings.server.allowed_hosts, ["localhost", "127.0.0.1"]);
    assert!(settings.gemini.is_sandbox());
    insta::assert_snapshot!(loaded.notes.join("\n"), @r"
    REDIS_URL: not used by this version; one process keeps live text and throttles itself
    SECRET_KEY: a sample's; whoever knows it can sign in as anybody, so production refuses it
    GEMINI_API_KEY: a sample's, so the built-in sandbox answers
    STRIPE_SECRET_KEY: a sample's, so the built-in sandbox sells
    DEBUG: not needed, APP_ENV says what is shown and allowed
    STRIPE_PUBLISHABLE_KEY: not needed, checkout happens on Stripe's page
    DJANGO_SETTINGS_MODULE: not needed, settings are read from the environment and .env
    CELERY_BROKER_URL, CELERY_RESULT_BACKEND: not needed, the queue lives in the database
    ");
}

#[test]
fn of_drf() {
    let loaded = sample(include_str!("../../tests/env/drf.env"));
    assert_eq!(loaded.settings.database.url, "postgres://postgres:postgres@db:5432/chat");
    assert!(loaded.settings.gemini.is_sandbox());
    insta::assert_snapshot!(loaded.notes.join("\n"), @r"
    REDIS_URL: not used by this version; one process keeps live text and throttles itself
    SECRET_KEY: a sample's; whoever knows it can sign in as anybody, so production refuses it
    GEMINI_API_KEY: a sample's, so the built-in sandbox answers
    STRIPE_SECRET_KEY: a sample's, so the built-in sandbox sells
    DEBUG: not needed, APP_ENV says what is shown and allowed
    STRIPE_BASIC_PRODUCT_ID: not needed, Basic is free
    STRIPE_PUBLISHABLE_KEY: not needed, checkout happens on Stripe's page
    DJANGO_SETTINGS_MODULE: not needed, settings are read from the environment and .env
    STRIPE_PRO_PRODUCT_ID: not needed, the price says which product
    CELERY_BROKER_URL, CELERY_RESULT_BACKEND: not needed, the queue lives in the database
    ");
}

#[test]
fn of_fastapi() {
    let loaded = sample(include_str!("../../tests/env/fastapi.env"));
    let settings = &loaded.settings;
    assert_eq!(settings.database.url, "postgres://postgres:postgres@localhost:5432/chat");
    assert_eq!(settings.auth.access_token, std::time::Duration::from_mins(30));
    assert_eq!(settings.server.cors_allowed_origins, ["http://localhost:3000", "http://localhost:5173"]);
    assert!(settings.gemini.is_sandbox());
    insta::assert_snapshot!(loaded.notes.join("\n"), @r"
    REDIS_URL: not used by this version; one process keeps live text and throttles itself
    SECRET_KEY: a sample's; whoever knows it can sign in as anybody, so production refuses it
    GEMINI_API_KEY: a sample's, so the built-in sandbox answers
    STRIPE_SECRET_KEY: a sample's, so the built-in sandbox sells
    PROJECT_NAME in .env: not a setting of this program
    CELERY_BROKER_URL, CELERY_RESULT_BACKEND: not needed, the queue lives in the database
    ALGORITHM: not needed, tokens are signed with HS256, or EdDSA by JWT_PRIVATE_KEY
    ");
}

#[test]
fn of_express() {
    let loaded = sample(include_str!("../../tests/env/express.env"));
    assert_eq!(loaded.settings.server.bind.to_string(), "0.0.0.0:3000");
    assert_eq!(loaded.settings.database.url, "postgres://postgres:postgres@localhost:5432/chat");
    assert_eq!(key(&loaded.settings), "supersecretkey");
    insta::assert_snapshot!(loaded.notes.join("\n"), @r"
    REDIS_URL: not used by this version; one process keeps live text and throttles itself
    SECRET_KEY: a sample's; whoever knows it can sign in as anybody, so production refuses it
    GEMINI_API_KEY: a sample's, so the built-in sandbox answers
    STRIPE_SECRET_KEY: a sample's, so the built-in sandbox sells
    NODE_ENV: not needed, APP_ENV says what is shown and allowed
    STRIPE_PUBLISHABLE_KEY: not needed, checkout happens on Stripe's page
    ");
}

#[test]
fn of_flask() {
    let loaded = sample(include_str!("../../tests/env/flask.env"));
    assert_eq!(loaded.settings.database.url, "sqlite://./instance/chat.db");
    assert_eq!(key(&loaded.settings), "dev");
    insta::assert_snapshot!(loaded.notes.join("\n"), @r"
    SECRET_KEY: a sample's; whoever knows it can sign in as anybody, so production refuses it
    STRIPE_SECRET_KEY: a sample's, so the built-in sandbox sells
    FLASK_APP, FLASK_ENV: not needed, APP_ENV says what is shown and allowed
    STRIPE_PRO_PRODUCT_ID: not needed, the price says which product
    CELERY_BROKER_URL, CELERY_RESULT_BACKEND: not needed, the queue lives in the database
    ");
}

#[test]
fn no_sample_starts_in_production() {
    for (name, file) in [
        ("django", include_str!("../../tests/env/django.env")),
        ("drf", include_str!("../../tests/env/drf.env")),
        ("fastapi", include_str!("../../tests/env/fastapi.env")),
        ("express", include_str!("../../tests/env/express.env")),
        ("flask", include_str!("../../tests/env/flask.env")),
    ] {
        let problems =
            Settings::load(&Environment::new([("APP_ENV", "production")], file)).map(|_| ()).expect_err(name);
        for refused in ["SECRET_KEY", "OTP_DELIVERY", "GEMINI_API_KEY"] {
            assert!(problems.iter().any(|problem| problem.name == refused), "{name}: {problems:?}");
        }
    }
}
