//! The command line, seen from outside: the real binary as people and platforms run it.

mod beside;
mod billing;
mod client;
mod copies;
mod database;
mod figures;
mod limits;
mod nothing_there;
mod older_systems;
mod process;
mod replies;
mod settings;
mod sms;
mod start;
mod tools;
mod traces;
mod unreachable;
mod users;
