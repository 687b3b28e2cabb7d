//! The service seen from outside: a real server on a port of its own, real HTTP, one database per test.
//!
//! On SQLite unless `TEST_DATABASE_URL` names a PostgreSQL server. Begin at [`harness::TestApp`].

mod attachments;
mod attachments_asked;
mod attachments_gone;
mod attachments_s3;
mod auth;
mod billing;
mod bodies;
mod branches;
mod branches_storm;
mod budget;
mod cancel;
mod cancel_races;
mod clients;
mod context;
mod conventions;
mod erasure;
mod export;
mod fairness;
mod fallback;
mod faults;
mod first_answer;
mod hanging;
mod harness;
mod idempotency;
mod live;
mod live_acts;
mod live_schedules;
mod logs;
mod messages;
mod models;
mod operations;
mod operator;
mod prompts;
mod queue;
mod receipt;
mod replies;
mod retention;
mod rooms;
mod search;
mod store;
mod summaries;
mod thinking;
mod titles;
