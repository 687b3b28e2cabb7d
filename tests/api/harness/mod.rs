//! What the tests speak with: [`TestApp`] is a running service, [`Person`] someone signed in to it, [`Answer`] what came
//! back, held against the OpenAPI document before any test sees it.

#![allow(dead_code, unused_imports, reason = "a verb may be there before the first test that needs it")]

mod answer;
mod app;
mod called;
pub(crate) mod chat;
mod contract;
mod database;
pub(crate) mod files;
pub(crate) mod live;
mod person;
pub(crate) mod s3;
pub(crate) mod shop;
mod strict;

pub(crate) use answer::{Answer, Call};
pub(crate) use app::{START, TestApp, WEBHOOK_SECRET, YEARLY, until};
pub(crate) use contract::document;
pub(crate) use database::{Database, server as database_server};
pub(crate) use person::{Person, Room};
pub(crate) use strict::closed;
