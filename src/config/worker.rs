//! The worker, and how long finished things are kept.

use std::time::Duration;

use super::parse;
use super::reader::Reader;
use super::setting::{Preset, Setting};

#[derive(Clone, Debug)]
pub struct Worker {
    /// Replies being written at once in this process.
    pub concurrency: usize,
    /// How long a claim holds without renewal.
    pub lease: Duration,
    /// How long SIGTERM waits for replies to end before it hands the rest back.
    pub drain: Duration,
}

/// `RETENTION_DAYS` and its kin: how long what is over stays in the database.
#[derive(Clone, Debug)]
pub struct Retention {
    pub sweep_every: Duration,
    pub spent_codes: Duration,
    pub ended_sessions: Duration,
    pub idempotency_keys: Duration,
    pub finished_jobs: Duration,
    pub prompt_days: Duration,
    pub token_days: Duration,
    /// Stripe's events, and checkouts that are over.
    pub stripe_events: Duration,
    /// Attachments that no message carries.
    pub unused_attachments: Duration,
    /// Rows a statement of the sweep touches at most.
    pub batch: u32,
}

static CONCURRENCY: Setting =
    Setting::new("WORKER_CONCURRENCY", Preset::Always("1000"), "Replies that one process writes at once.");
static LEASE: Setting = Setting::new(
    "WORKER_LEASE_SECONDS",
    Preset::Always("15"),
    "How long after a worker's death its replies are taken over.",
);
static DRAIN: Setting = Setting::new(
    "WORKER_DRAIN_SECONDS",
    Preset::Always("20"),
    "How long a stopping worker lets replies end before it hands them back.",
);
static DAYS: Setting =
    Setting::new("RETENTION_DAYS", Preset::Always("30"), "How long what is over is kept, unless said apart below.");
static SESSIONS: Setting =
    Setting::new("RETENTION_SESSION_DAYS", Preset::As("RETENTION_DAYS"), "How long ended sessions are kept.");
static JOBS: Setting =
    Setting::new("RETENTION_JOB_DAYS", Preset::As("RETENTION_DAYS"), "How long finished jobs are kept.");
static CODES: Setting = Setting::new(
    "RETENTION_CODE_DAYS",
    Preset::Always("2"),
    "How long spent codes are kept; a number's daily limits are counted in them.",
);
static KEYS: Setting =
    Setting::new("RETENTION_IDEMPOTENCY_DAYS", Preset::Always("7"), "How long an Idempotency-Key is remembered.");
static TOKENS: Setting = Setting::new(
    "RETENTION_TOKEN_DAYS",
    Preset::Always("400"),
    "How long the tokens that a user spent in a day are kept.",
);
static EVENTS: Setting = Setting::new(
    "RETENTION_EVENT_DAYS",
    Preset::Always("90"),
    "How long Stripe's events and checkouts that are over are kept; Stripe may repeat an event for 30 days.",
);
static UNUSED: Setting = Setting::new(
    "RETENTION_UNUSED_ATTACHMENT_HOURS",
    Preset::Always("24"),
    "How long an uploaded file waits for a message that carries it.",
);
static SWEEP: Setting =
    Setting::new("RETENTION_SWEEP_SECONDS", Preset::Always("600"), "How often what is past its time is removed.");
static BATCH: Setting =
    Setting::new("RETENTION_BATCH", Preset::Always("500"), "Rows that are removed in one transaction at most.");

pub(super) static SETTINGS: [&Setting; 13] =
    [&CONCURRENCY, &LEASE, &DRAIN, &DAYS, &SESSIONS, &JOBS, &CODES, &KEYS, &TOKENS, &EVENTS, &UNUSED, &SWEEP, &BATCH];

pub(super) fn read_worker(reader: &mut Reader<'_>) -> Worker {
    Worker {
        concurrency: reader.value(&CONCURRENCY, parse::number(1..=100_000)),
        lease: reader.value(&LEASE, parse::seconds(2..=300)),
        // The process must be gone within 30 s.
        drain: reader.value(&DRAIN, parse::seconds(0..=25)),
    }
}

pub(super) fn read_retention(reader: &mut Reader<'_>) -> Retention {
    let days = || parse::days(1..=3650);
    Retention {
        prompt_days: reader.value(&DAYS, days()),
        token_days: reader.value(&TOKENS, days()),
        ended_sessions: reader.value(&SESSIONS, days()),
        finished_jobs: reader.value(&JOBS, days()),
        // Limits count a day back.
        spent_codes: reader.value(&CODES, parse::days(2..=3650)),
        idempotency_keys: reader.value(&KEYS, days()),
        stripe_events: reader.value(&EVENTS, parse::days(31..=3650)),
        unused_attachments: reader.value(&UNUSED, parse::hours(1..=8760)),
        sweep_every: reader.value(&SWEEP, parse::seconds(1..=86_400)),
        batch: reader.value(&BATCH, parse::number(1..=100_000)),
    }
}
