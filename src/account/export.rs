//! All that is held of a person, as one JSON document, written a page at a time. No hash and no secret is in it.

use serde::Serialize;

use crate::app::App;
use crate::auth::http::UserView;
use crate::auth::{self, HeldSession, User};
use crate::billing::http::LineView;
use crate::billing::{self, HeldSubscription, PromptDay, TokenDay};
use crate::chat::http::{ExportedRoomView, write_rooms};
use crate::clock::Moment;
use crate::http::{Cut, Outlet};

/// Lines of the subscription's history read at a time.
const PAGE: i64 = 200;

/// All that is held of a person.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = UserExport)]
pub(super) struct ExportedUserView {
    exported_at: Moment,
    user: UserView,
    /// Living ones and those that have ended, the oldest first.
    sessions: Vec<HeldSession>,
    /// Prompts by the UTC day.
    prompts: Vec<PromptDay>,
    /// Tokens by the UTC day.
    tokens: Vec<TokenDay>,
    subscriptions: Vec<HeldSubscription>,
    /// Newest first.
    subscription_history: Vec<LineView>,
    /// Archived ones too, the oldest first, each with all of its messages.
    chatrooms: Vec<ExportedRoomView>,
}

/// Writes an [`ExportedUserView`], of which the whole is never in memory.
pub(super) async fn write(app: &App, user: User, outlet: &Outlet) -> Result<(), Cut> {
    let id = user.id;
    let billed = billing::held(app, id).await?;
    let parts = [
        ("{\"exported_at\":", json(&app.clock.now())),
        (",\"user\":", json(&UserView::from(user))),
        (",\"prompts\":", json(&billed.prompts)),
        (",\"tokens\":", json(&billed.tokens)),
        (",\"subscriptions\":", json(&billed.subscriptions)),
    ];
    for (name, value) in parts {
        outlet.send(format!("{name}{value}")).await?;
    }
    outlet.send(",\"sessions\":[").await?;
    let (mut after, mut is_first) = (None, true);
    loop {
        let sessions = auth::sessions_after(app, id, after).await?;
        let Some(last) = sessions.last() else { break };
        after = Some(last.id);
        outlet.items(&mut is_first, &sessions).await?;
    }
    outlet.send("],\"subscription_history\":[").await?;
    let (mut before, mut is_first) = (i64::MAX, true);
    loop {
        let lines = billing::history(app, id, before, PAGE).await?;
        let Some(last) = lines.last() else { break };
        before = last.seq;
        outlet.items(&mut is_first, &lines.into_iter().map(LineView::from).collect::<Vec<_>>()).await?;
    }
    outlet.send("],\"chatrooms\":").await?;
    write_rooms(app, id, outlet).await?;
    outlet.send("}").await
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what is shown is plain data")
}
