//! Settings as a whole: all problems at once, production's refusals, origins, masks, the documents.

use secrecy::ExposeSecret;

use super::*;

const STRONG: &str = "5b1e0c7a94d2f6838e1f07b3c9a4d526";

fn load(pairs: &[(&str, &str)], file: &str) -> Result<Loaded, Vec<String>> {
    let environment = Environment::new(pairs.iter().copied(), file);
    Settings::load(&environment).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn entry(loaded: &Loaded, name: &str) -> Entry {
    loaded.entries.iter().find(|entry| entry.name == name).cloned().expect("an entry for every setting")
}

fn production<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let safe = [
        ("APP_ENV", "production"),
        ("SECRET_KEY", STRONG),
        ("GEMINI_API_KEY", "AIzaSyD4kq81mZ0Vtx7"),
        ("OTP_DELIVERY", "webhook"),
        ("SMS_WEBHOOK_URL", "https://sms.example.com/send"),
        ("SMS_WEBHOOK_SECRET", "c1f0-9a2b-77de-4410"),
        ("SMS_COUNTRIES", "IN"),
    ];
    let kept = safe.into_iter().filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
    kept.chain(more.iter().copied()).collect()
}

#[test]
fn nothing_set_is_development_on_loopback() {
    let loaded = load(&[], "").expect("the defaults are valid");
    let settings = &loaded.settings;
    assert_eq!(settings.server.env, AppEnv::Development);
    assert_eq!(settings.server.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.database.url, "sqlite://data/gemini-backend.db");
    assert!(settings.gemini.is_sandbox());
    assert!(settings.auth.legacy_signup);
    assert_eq!(settings.auth.mobile_numbers, MobileNumbers::Lenient);
    assert!(!settings.auth.allow_otp_in_response);
    assert!(matches!(settings.auth.otp_delivery, OtpDelivery::Response));
    assert_eq!(loaded.notes, [""; 0]);
    let names: Vec<_> = loaded.entries.iter().map(|entry| entry.name).collect();
    assert_eq!(names, all_settings().map(|setting| setting.name).collect::<Vec<_>>());
    assert!(loaded.entries.iter().all(|entry| entry.origin == Origin::Default));
}

#[test]
fn a_bucket_takes_both_keys_or_none_and_shows_no_secret() {
    let bucket = ("OBJECT_STORE_URL", "s3://files/a");
    let half = load(&[bucket, ("AWS_ACCESS_KEY_ID", "AKID")], "").expect_err("half of a key");
    assert_eq!(half, ["AWS_SECRET_ACCESS_KEY: is missing: AWS_ACCESS_KEY_ID is of no use without it"]);
    load(&[("AWS_ACCESS_KEY_ID", "AKID")], "").expect("other programs' affair without a bucket");
    let keys =
        [bucket, ("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_DEFAULT_REGION", "eu-1")];
    let loaded = load(&keys, "").expect("a bucket with keys");
    assert_eq!(loaded.settings.files.s3.region, "eu-1");
    assert_eq!(entry(&loaded, "AWS_SECRET_ACCESS_KEY").value.as_deref(), Some("********"));
    load(&[bucket], "").expect("the machine's own role");
    let wrong = load(&[("OBJECT_STORE_URL", "gs://files")], "").expect_err("no place");
    assert_eq!(wrong.len(), 1);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let problems = load(
        &[
            ("PORT", "70000"),
            ("LOG_LEVEL", "=loud="),
            ("DATABASE_URL", "mysql://root:hunter2@db/x"),
            ("OTP_TTL_SECONDS", "forever"),
            ("OTP_DELIVERY", "pigeon"),
            ("JWT_PRIVATE_KEY", "hunter3"),
            ("RETENTION_DAYS", "-3"),
        ],
        "WORKER_CONCURRENCY=0\nthis line says nothing\n",
    )
    .expect_err("eight wrong values and a wrong line");
    insta::assert_snapshot!(problems.join("\n"), @r#"
    PORT: "70000" is not a whole number from 0 to 65535
    LOG_LEVEL: "=loud=" is not error, warn, info, debug or trace
    DATABASE_URL: is neither sqlite://file nor postgres://user:password@host/name
    JWT_PRIVATE_KEY: is not PEM: -----BEGIN PRIVATE KEY----- (made by `openssl genpkey -algorithm ed25519`)
    OTP_DELIVERY: "pigeon" is not response, log, twilio or webhook
    OTP_TTL_SECONDS: "forever" is not a whole number from 30 to 3600
    WORKER_CONCURRENCY: "0" is not a whole number from 1 to 100000
    RETENTION_DAYS: "-3" is not a whole number from 1 to 3650
    .env: line 2 is not NAME=value
    "#);
    assert!(!problems.join("").contains("hunter"));
}

#[test]
fn production_with_what_it_needs_starts() {
    let loaded = load(&production(&[]), "").expect("all is there");
    assert!(!loaded.settings.auth.legacy_signup);
    assert_eq!(loaded.settings.auth.mobile_numbers, MobileNumbers::Strict);
    assert!(matches!(loaded.settings.auth.otp_delivery, OtpDelivery::Webhook { .. }));
    load(&production(&[("GEMINI_API_KEY", ""), ("GEMINI_BASE_URL", "http://10.0.0.7:9000")]), "").expect("a server");
    let legacy_signup =
        |set: &[(&str, &str)]| load(&production(set), "").expect("settings").settings.auth.legacy_signup;
    assert!(legacy_signup(&[("MOBILE_NUMBERS", "lenient")]));
    assert!(!legacy_signup(&[("MOBILE_NUMBERS", "lenient"), ("LEGACY_SIGNUP", "false")]));
    assert!(legacy_signup(&[("LEGACY_SIGNUP", "true")]));
}

#[test]
fn production_refuses_what_is_unsafe() {
    let weak = "0123456789abcdef0123456789abcde";
    let list = format!("{STRONG},short");
    for (name, value) in [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", weak),
        ("SECRET_KEY", "your-secret-key-here-change-me-in-production"),
        ("SECRET_KEY", "django-insecure-v8@2m!x0qk3z7r5t9w1y4u6i8o0p2a"),
        ("SECRET_KEY", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("SECRET_KEY", &list),
        ("OTP_DELIVERY", ""),
        ("OTP_DELIVERY", "response"),
        ("OTP_DELIVERY", "log"),
        ("SMS_WEBHOOK_URL", ""),
        ("SMS_WEBHOOK_SECRET", ""),
        ("SMS_WEBHOOK_SECRET", "changeme"),
        ("SMS_COUNTRIES", ""),
        ("SMS_COUNTRIES", "Wonderland"),
        ("SMS_PRICES", "IN=cheap"),
        ("SMS_DAILY_CAP", "a lot"),
        ("CORS_ALLOWED_ORIGINS", "https://a.example, *"),
        ("GEMINI_API_KEY", ""),
        ("GEMINI_API_KEY", "dummy-gemini-api-key"),
        ("STRIPE_SECRET_KEY", "sk_test_dummykey"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_dummykey"),
        ("STRIPE_BASE_URL", "api.stripe.com"),
        ("STRIPE_SUCCESS_URL", "/paid"),
        ("STRIPE_CANCEL_URL", "javascript://x"),
        ("CHECKOUT_RETURN_URLS", "https://a.example, b.example"),
        ("STRIPE_ON_REFUND", "ignore"),
        ("BILLING_GRACE_DAYS", "-1"),
    ] {
        let problems = load(&production(&[(name, value)]), "").map(|_| ()).expect_err(name);
        assert_eq!(problems.len(), 1, "{name}={value}: {problems:?}");
        assert!(problems[0].starts_with(&format!("{name}: ")), "{name}={value}: {problems:?}");
    }
    let problems = load(&production(&[("CORS_ALLOW_ALL_ORIGINS", "True")]), "").expect_err("any origin");
    assert_eq!(problems, ["CORS_ALLOWED_ORIGINS: lets every web page call; production refuses *"]);
    let bare = load(&[("APP_ENV", "production")], "").expect_err("nothing is set");
    assert_eq!(bare.len(), 3, "{bare:?}");
}

#[test]
fn twilio_needs_an_account_and_one_sender() {
    let twilio = |more: &[(&'static str, &'static str)]| {
        let mut pairs = vec![
            ("OTP_DELIVERY", "twilio"),
            ("TWILIO_ACCOUNT_SID", "AC5ef8c1d2"),
            ("TWILIO_AUTH_TOKEN", "9f2c-4be1-hunter"),
            ("TWILIO_FROM", "+15005550006"),
        ];
        pairs.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        pairs.extend(more);
        load(&production(&pairs), "")
    };
    let loaded = twilio(&[("TWILIO_BASE_URL", "http://127.0.0.1:9000/")]).expect("all is there");
    let OtpDelivery::Twilio(account) = &loaded.settings.auth.otp_delivery else { panic!("{loaded:?}") };
    assert_eq!((&*account.base_url, &*account.account_sid), ("http://127.0.0.1:9000", "AC5ef8c1d2"));
    assert_eq!(account.from, TwilioFrom::Number("+15005550006".to_owned()));
    assert!(!format!("{loaded:?}").contains("hunter"), "{loaded:?}");
    let by_service = twilio(&[("TWILIO_FROM", ""), ("TWILIO_MESSAGING_SERVICE_SID", "MG77")]).expect("a service");
    let OtpDelivery::Twilio(account) = by_service.settings.auth.otp_delivery else { panic!("no Twilio") };
    assert_eq!(account.from, TwilioFrom::MessagingService("MG77".to_owned()));
    for (names, values) in [
        (["TWILIO_ACCOUNT_SID", ""], ["", ""]),
        (["TWILIO_ACCOUNT_SID", ""], ["AC/../x", ""]),
        (["TWILIO_ACCOUNT_SID", ""], ["your-account-sid", ""]),
        (["TWILIO_AUTH_TOKEN", ""], ["", ""]),
        (["TWILIO_AUTH_TOKEN", ""], ["your_auth_token", ""]),
        (["TWILIO_FROM", ""], ["", ""]),
        (["TWILIO_FROM", "TWILIO_MESSAGING_SERVICE_SID"], ["+15005550006", "MG77"]),
        (["TWILIO_MESSAGING_SERVICE_SID", "TWILIO_FROM"], ["M-G", ""]),
        (["TWILIO_BASE_URL", ""], ["api.twilio.com", ""]),
        (["SMS_COUNTRIES", ""], ["", ""]),
    ] {
        let pairs: Vec<_> = names.into_iter().zip(values).filter(|(name, _)| !name.is_empty()).collect();
        let problems = twilio(&pairs).map(|_| ()).expect_err(names[0]);
        assert_eq!(problems.len(), 1, "{pairs:?}: {problems:?}");
        assert!(problems[0].starts_with(&format!("{}: ", names[0])), "{pairs:?}: {problems:?}");
    }
}

#[test]
fn a_cap_needs_a_price_for_every_country() {
    let told = |pairs: &[(&str, &str)]| load(pairs, "").map(|_| ()).expect_err("a cap without prices");
    assert_eq!(
        told(&[("SMS_DAILY_CAP", "5"), ("SMS_COUNTRIES", "IN,US,GB"), ("SMS_PRICES", "+1=0.0079")]),
        ["SMS_PRICES: has no price for IN, GB, *, which SMS_DAILY_CAP needs"],
        "with the numbers of no country, which are taken here"
    );
    let priced = [("SMS_DAILY_CAP", "5"), ("SMS_PRICES", "IN=1")];
    load(&production(&priced), "").expect("each has its price");
    let lenient = [priced[0], priced[1], ("MOBILE_NUMBERS", "lenient")];
    let problems = load(&production(&lenient), "").map(|_| ()).expect_err("numbers of no country have none");
    assert_eq!(problems, ["SMS_PRICES: has no price for *, which SMS_DAILY_CAP needs"]);
    assert_eq!(
        told(&[("SMS_DAILY_CAP", "5"), ("SMS_PRICES", "IN=1")]),
        ["SMS_PRICES: has no price for *, which SMS_DAILY_CAP needs"]
    );
    let loaded = load(&[("SMS_DAILY_CAP", "2.50"), ("SMS_PRICES", "*=0.05")], "").expect("all is there");
    assert_eq!(loaded.settings.sms.daily_cap, Some(2_500_000));
    let uncapped = load(&production(&[]), "").expect("all is there");
    assert_eq!(uncapped.notes, ["SMS_DAILY_CAP: not set; what strangers may spend on codes has no end"]);
}

#[test]
fn samples_in_development_mean_the_sandbox_and_are_named() {
    let file = "GOOGLE_GEMINI_API_KEY=dummy-gemini-api-key\nSTRIPE_SECRET_KEY=sk_test_dummykey\n";
    let loaded = load(&[], file).expect("development takes samples");
    assert!(loaded.settings.gemini.is_sandbox());
    assert_eq!(
        loaded.notes,
        [
            "GEMINI_API_KEY: a sample's, so the built-in sandbox answers",
            "STRIPE_SECRET_KEY: a sample's, so the built-in sandbox sells",
        ]
    );
}

#[test]
fn the_environment_wins_and_every_value_tells_where_it_came_from() {
    let loaded = load(&[("LOG_LEVEL", "debug"), ("PORT", "3000")], "LOG_LEVEL=trace\nJWT_SECRET=from the file\n")
        .expect("valid");
    assert_eq!(loaded.settings.server.log_level, "debug");
    assert_eq!(loaded.settings.server.bind.to_string(), "0.0.0.0:3000");
    assert_eq!(loaded.settings.auth.secret_keys[0].expose_secret(), "from the file");
    assert_eq!(entry(&loaded, "LOG_LEVEL").origin.to_string(), "environment");
    assert_eq!(entry(&loaded, "SECRET_KEY").origin.to_string(), ".env as JWT_SECRET");
    assert_eq!(entry(&loaded, "LOG_FORMAT").origin.to_string(), "default");
}

#[test]
fn the_newer_name_wins_over_the_older_one() {
    let loaded = load(&[("JWT_SECRET", "older")], "SECRET_KEY=newer,second").expect("valid");
    let keys: Vec<_> = loaded.settings.auth.secret_keys.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(keys, ["newer", "second"]);
    let bound = load(&[("PORT", "3000"), ("BIND", "127.0.0.1:4000")], "").expect("valid");
    assert_eq!(bound.settings.server.bind.to_string(), "127.0.0.1:4000");
    assert_eq!(bound.notes, ["PORT: not needed, BIND is set"]);
}

#[test]
fn an_empty_variable_hides_the_file() {
    let loaded = load(&[("GEMINI_MODEL", "")], "GEMINI_MODEL=gemini-x\n").expect("valid");
    assert_eq!(loaded.settings.gemini.model, "gemini-3.8-flash");
}

#[test]
fn postgres_is_put_together_from_its_parts() {
    let parts = [
        ("POSTGRES_DB", "chat"),
        ("POSTGRES_USER", "ada"),
        ("POSTGRES_PASSWORD", "p@ss/word"),
        ("POSTGRES_HOST", "db"),
    ];
    let loaded = load(&parts, "").expect("valid");
    assert_eq!(loaded.settings.database.url, "postgres://ada:p%40ss%2Fword@db:5432/chat");
    assert_eq!(entry(&loaded, "DATABASE_URL").value.as_deref(), Some("postgres://ada:********@db:5432/chat"));
    assert_eq!(entry(&loaded, "DATABASE_URL").origin.to_string(), "environment as POSTGRES_DB");
    let both = load(&parts, "DATABASE_URL=sqlite:///db.sqlite3").expect("valid");
    assert_eq!(both.settings.database.url, "sqlite://db.sqlite3");
}

#[test]
fn redis_is_put_together_and_named_as_not_used() {
    let loaded = load(&[("REDIS_HOST", "cache"), ("REDIS_PASSWORD", "hunter2"), ("REDIS_DB", "2")], "").expect("valid");
    let url = loaded.settings.redis.url.as_ref().map(|url| url.expose_secret().to_owned());
    assert_eq!(url.as_deref(), Some("redis://:hunter2@cache:6379/2"));
    assert_eq!(loaded.notes, ["REDIS_URL: not used by this version; one process keeps live text and throttles itself"]);
}

#[test]
fn no_secret_is_shown() {
    let secrets = production(&[
        ("SECRET_KEY", "hunter-5b1e0c7a94d2f6838e1f07b3c9a4d526"),
        ("GEMINI_API_KEY", "hunter-8kq81mZ0Vtx7"),
        ("SMS_WEBHOOK_SECRET", "hunter-9a2b-77de-4410"),
        ("SMS_WEBHOOK_URL", "https://ada:hunter6@sms.example.com"),
        ("TWILIO_AUTH_TOKEN", "hunter-f00d"),
        ("METRICS_TOKEN", "hunter-77de"),
        ("DATABASE_URL", "postgresql+asyncpg://ada:hunter2@db/chat?password=hunter3"),
        ("REDIS_URL", "redis://:hunter2@cache:6379/0"),
        ("GEMINI_BASE_URL", "http://ada:hunter4@10.0.0.7:9000"),
        ("JWT_PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----\\nhunter5\\n-----END PRIVATE KEY-----"),
    ]);
    let loaded = load(&secrets, "").expect("valid");
    let shown = format!("{:?} {:?}", loaded.entries, loaded.notes);
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(shown.contains("postgresql+asyncpg://ada:********@db/chat"), "{shown}");
}

#[test]
fn unknown_names_in_the_file_are_named() {
    let loaded = load(&[("SOMETHING_ELSE", "1")], "GEMINI_APIKEY=x\nPROJECT_NAME=My Chat\n").expect("valid");
    assert_eq!(
        loaded.notes,
        [
            "GEMINI_APIKEY in .env: not a setting of this program (did you mean GEMINI_API_KEY?)",
            "PROJECT_NAME in .env: not a setting of this program",
        ]
    );
}

#[test]
fn a_path_that_reads_otherwise_elsewhere_is_explained() {
    let loaded = load(&[("DATABASE_URL", "sqlite:///var/lib/chat.db")], "").expect("valid");
    assert_eq!(loaded.settings.database.url, "sqlite://var/lib/chat.db");
    assert!(loaded.notes[0].contains("the file is var/lib/chat.db in the working folder"), "{:?}", loaded.notes);
    assert_eq!(load(&[("DATABASE_URL", "sqlite:///db.sqlite3")], "").expect("valid").notes, [""; 0]);
}

#[test]
fn a_finer_retention_follows_the_general_one() {
    let days = |n: u64| std::time::Duration::from_hours(24 * n);
    let loaded = load(&[("RETENTION_DAYS", "90"), ("RETENTION_JOB_DAYS", "3")], "").expect("valid");
    assert_eq!(loaded.settings.retention.ended_sessions, days(90));
    assert_eq!(loaded.settings.retention.finished_jobs, days(3));
}

#[test]
fn the_example_and_the_reference_list_every_setting() {
    assert_eq!(
        include_str!("../../.env.example"),
        reference::env_example(),
        "run: gemini-backend config --example > .env.example"
    );
    let document = include_str!("../../docs/CONFIGURATION.md");
    assert!(
        document.contains(reference::markdown().trim_end()),
        "paste what `gemini-backend config --reference` prints"
    );
}

#[test]
fn the_example_says_the_defaults() {
    let text = reference::env_example();
    let uncommented: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(uncommented.len(), all_settings().count());
    let example = load(&[], &uncommented.join("\n")).expect("the defaults are valid");
    assert_eq!(format!("{:?}", example.settings), format!("{:?}", load(&[], "").expect("valid").settings));
}

#[test]
fn a_stripe_key_needs_a_price_and_a_way_back() {
    let key = ("STRIPE_SECRET_KEY", "sk_test_51Kq2LmSExk29");
    let price = ("STRIPE_PRO_PRICE_ID", "price_1Kq2Lm");
    let told =
        |pairs: &[(&'static str, &'static str)]| load(&production(pairs), "").map(|_| ()).expect_err("incomplete");
    assert_eq!(told(&[key]), ["STRIPE_PRO_PRICE_ID: is missing: STRIPE_SECRET_KEY is set"]);
    assert_eq!(
        told(&[key, price]),
        ["PUBLIC_URL: is missing: checkout has to lead back (or STRIPE_SUCCESS_URL says where)"]
    );
    let back = ("STRIPE_SUCCESS_URL", "https://chat.example/paid");
    let loaded = load(&production(&[key, price, back]), "").expect("enough to sell");
    assert!(loaded.settings.stripe.is_configured());
    assert!(loaded.notes.iter().any(|note| note.starts_with("STRIPE_WEBHOOK_SECRET: not set")), "{:?}", loaded.notes);
    assert!(!format!("{loaded:?}").contains("51Kq2Lm"), "{loaded:?}");
    let nothing = load(&production(&[]), "").expect("nothing needs to be sold");
    assert!(!nothing.settings.stripe.is_configured());
}
