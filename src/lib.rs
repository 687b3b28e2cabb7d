//! gemini-backend: one binary that gives a product its AI chat.
//!
//! The rooms, upper floors first; imports point down this list and never up.

#![recursion_limit = "256"]

pub mod cli;

pub mod retention;
pub mod serve;
pub mod worker;

pub mod sandbox;

pub mod account;

pub mod chat;

pub mod billing;

pub mod auth;

pub mod app;

pub mod files;
pub mod gemini;
pub mod jobs;
pub mod keys;
pub mod limits;
pub mod live;
pub mod people;
pub mod sms;
pub mod stripe;
pub mod traces;

pub mod http;
pub mod store;

pub mod config;

pub mod clock;
pub mod ids;
