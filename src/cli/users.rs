//! `users`: what an operator sees and does about people. Everything holds on the next request, beside a running server too.

use std::io::Read;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::open;
use super::out::{Out, table};
use crate::account;
use crate::app::App;
use crate::auth::operate::{self, Deed};
use crate::auth::{self, Mobile, Plan, Role, User};
use crate::billing;
use crate::clock::Moment;
use crate::ids::UserId;

/// Add, list, suspend and delete users; give them a plan or a role
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gemini-backend users set-plan +919876543210 pro\n  gemini-backend users list --json"
)]
pub(super) struct Users {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Add(Add),
    List(List),
    Show(Show),
    Suspend(Suspend),
    Restore(Restore),
    SignOut(SignOut),
    SetPlan(SetPlan),
    SetRole(SetRole),
    Delete(Delete),
}

/// Add a user whose number needs no code
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend users add +919876543210 --password-stdin < password.txt")]
struct Add {
    mobile: String,
    /// Read the first password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// user or admin
    #[arg(long, default_value = "user")]
    role: Role,
    /// basic or pro
    #[arg(long, default_value = "basic")]
    plan: Plan,
}

/// List users, the oldest accounts first
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  gemini-backend users list --limit 100 --after 0193a1b2-0000-7000-8000-000000000000"
)]
struct List {
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// The last id of the page before
    #[arg(long, value_name = "ID")]
    after: Option<UserId>,
}

/// Show one user
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend users show +919876543210")]
struct Show {
    /// Number or id
    user: String,
}

/// Refuse a user's requests until they are restored; their data stays
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend users suspend +919876543210")]
struct Suspend {
    /// Number or id
    user: String,
}

/// Lift a suspension
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend users restore +919876543210")]
struct Restore {
    /// Number or id
    user: String,
}

/// End all of a user's sessions
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend users sign-out +919876543210")]
struct SignOut {
    /// Number or id
    user: String,
}

/// Give a user a plan: prompts a day, replies at once, place in the queue
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend users set-plan +919876543210 pro")]
struct SetPlan {
    /// Number or id
    user: String,
    /// basic or pro
    plan: Plan,
}

/// Give a user a role
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend users set-role +919876543210 admin")]
struct SetRole {
    /// Number or id
    user: String,
    /// user or admin
    role: Role,
}

/// Delete a user with all that is held of them
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gemini-backend users delete +919876543210 --yes")]
struct Delete {
    /// Number or id
    user: String,
    /// There is no way back
    #[arg(long, required = true)]
    yes: bool,
}

#[derive(Debug, Serialize)]
struct Row<'u> {
    id: UserId,
    mobile: &'u str,
    username: Option<&'u str>,
    role: Role,
    plan: Plan,
    password_set: bool,
    created_at: Moment,
    suspended_at: Option<Moment>,
}

impl Users {
    pub(super) async fn run(self, out: Out) -> super::Result {
        let app = open::app().await?;
        match self.what {
            What::Add(add) => add.run(&app, out).await,
            What::List(list) => list.run(&app, out).await,
            What::Show(show) => tell(&app, find(&app, &show.user).await?.id, out).await,
            What::Suspend(it) => act(&app, &it.user, Deed::Suspend, out).await,
            What::Restore(it) => act(&app, &it.user, Deed::Restore, out).await,
            What::SignOut(it) => act(&app, &it.user, Deed::SignOut, out).await,
            What::SetRole(it) => act(&app, &it.user, Deed::SetRole(it.role), out).await,
            What::SetPlan(it) => {
                let user = find(&app, &it.user).await?;
                let held = billing::grant_plan(&app, user.id, it.plan).await?;
                anyhow::ensure!(
                    held == Some(it.plan),
                    "a subscription keeps them Pro: `billing` and Stripe's dashboard show it; the grant is taken back"
                );
                tell(&app, user.id, out).await
            }
            What::Delete(it) => {
                let user = find(&app, &it.user).await?;
                account::erase(&app, user.id).await?;
                out.answer(&json!({"deleted": user.id}), || format!("{} is deleted.", user.id))
            }
        }
    }
}

impl Add {
    async fn run(self, app: &App, out: Out) -> super::Result {
        let mobile = Mobile::parse(&self.mobile, &app.settings.auth)?;
        let password = self.password_stdin.then(read_password).transpose()?;
        let user = operate::add(app, mobile, password).await?;
        if self.role != user.role {
            operate::act(app, user.id, Deed::SetRole(self.role)).await?;
        }
        if self.plan != user.plan {
            billing::grant_plan(app, user.id, self.plan).await?;
        }
        tell(app, user.id, out).await
    }
}

impl List {
    async fn run(self, app: &App, out: Out) -> super::Result {
        let users = operate::list(app, self.after, self.limit).await?;
        let rows: Vec<Row<'_>> = users.iter().map(row).collect();
        out.answer(&json!({"data": rows}), || {
            let cells = |row: &Row<'_>| {
                let state = row.suspended_at.map_or_else(String::new, |at| format!("suspended {at}"));
                let (id, role, plan) = (row.id.to_string(), row.role.to_string(), row.plan.to_string());
                vec![id, row.mobile.to_owned(), role, plan, row.created_at.to_string(), state]
            };
            let head = ["ID", "MOBILE", "ROLE", "PLAN", "CREATED AT", ""];
            table(&head, &rows.iter().map(cells).collect::<Vec<_>>())
        })
    }
}

/// Up to the end of the first line, as `echo` and password stores give it.
fn read_password() -> super::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("the password cannot be read")?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// A user by number or id.
async fn find(app: &App, who: &str) -> super::Result<User> {
    let found = match who.parse::<UserId>() {
        Ok(id) => auth::find(app, id).await?,
        Err(_) => operate::find_by_mobile(app, &Mobile::parse(who, &app.settings.auth)?).await?,
    };
    found.with_context(|| format!("there is no user {who}"))
}

async fn act(app: &App, who: &str, deed: Deed, out: Out) -> super::Result {
    let user = find(app, who).await?;
    operate::act(app, user.id, deed).await?;
    tell(app, user.id, out).await
}

/// Shows a user as they are now.
async fn tell(app: &App, id: UserId, out: Out) -> super::Result {
    let user = auth::find(app, id).await?.context("the user is gone")?;
    let row = row(&user);
    out.answer(&row, || {
        let word = |is: bool| if is { "yes" } else { "no" }.to_owned();
        let lines = [
            ("id", row.id.to_string()),
            ("mobile", row.mobile.to_owned()),
            ("username", row.username.unwrap_or("-").to_owned()),
            ("role", row.role.to_string()),
            ("plan", row.plan.to_string()),
            ("password set", word(row.password_set)),
            ("created at", row.created_at.to_string()),
            ("suspended at", row.suspended_at.map_or_else(|| "-".to_owned(), |at| at.to_string())),
        ];
        lines.map(|(name, value)| format!("{name:13} {value}")).join("\n")
    })
}

fn row(user: &User) -> Row<'_> {
    Row {
        id: user.id,
        mobile: user.mobile.as_str(),
        username: user.username.as_deref(),
        role: user.role,
        plan: user.plan,
        password_set: user.password_set,
        created_at: user.created_at,
        suspended_at: user.suspended_at,
    }
}
