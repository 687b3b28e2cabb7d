//! Conversations as files.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::context::SummaryView;
use super::views::{AttachmentView, ChatroomView, MessageView};
use crate::app::App;
use crate::auth::SignedIn;
use crate::chat::{self, Chatroom, Message, Role, Status};
use crate::http::{ApiError, Cut, Outlet, Path, Query, download, file_stem};
use crate::ids::{ChatroomId, UserId};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Md,
    Json,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Markdown, to be read: the current branch. JSON: all that was ever said, branches that were left too.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

/// A whole conversation.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ExportedChatroom)]
pub struct ExportedRoomView {
    chatroom: ChatroomView,
    /// All of its files, those too that no message carries.
    attachments: Vec<ExportedAttachmentView>,
    /// In the room's order; `parent_id` makes the tree of them.
    messages: Vec<MessageView>,
    /// What no longer fitted, in the model's words.
    summaries: Vec<SummaryView>,
}

/// A file, and where it is to be had.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = ExportedAttachment)]
struct ExportedAttachmentView {
    #[serde(flatten)]
    file: AttachmentView,
    #[schema(
        example = "/chatroom/0199f7a4-6e30-7c61-a1f0-5d1c6a0b9c11/attachments/0199f7a9-1f20-7b3c-8d41-7a2e9c0b5d66"
    )]
    path: String,
}

#[utoipa::path(
    get, path = "/chatroom/{id}/export", tag = "Chatrooms", operation_id = "export", params(("id" = ChatroomId, Path), Asked),
    responses((status = 200, description = "The conversation as a file", content(
        (ExportedRoomView = "application/json"), (String = "text/markdown; charset=utf-8")),
        headers(("Content-Disposition" = String, description = "attachment, named after the room"),
            ("Cache-Control" = String), ("X-Content-Type-Options" = String)))),
    extensions(("x-problems" = json!(["chatroom_not_found"]))),
    security(("bearer" = [])),
)]
pub(super) async fn export(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path(id): Path<ChatroomId>,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let room = chat::room(&app, signed_in.user, id).await?;
    let stem = format!("{}-{}", file_stem(room.name.as_deref().unwrap_or(""), "chatroom"), app.clock.now().day());
    let tasks = app.tasks.clone();
    Ok(match asked.format {
        Format::Md => download(&tasks, "text/markdown; charset=utf-8", &format!("{stem}.md"), |outlet| async move {
            write_markdown(&app, signed_in.user, room, &outlet).await
        }),
        Format::Json => download(&tasks, "application/json", &format!("{stem}.json"), |outlet| async move {
            write_json(&app, signed_in.user, room, &outlet).await
        }),
    })
}

/// All of a person's rooms with their messages: a JSON array.
pub async fn write_rooms(app: &App, owner: UserId, outlet: &Outlet) -> Result<(), Cut> {
    outlet.send("[").await?;
    let (mut after, mut is_first) = (None, true);
    loop {
        let rooms = chat::rooms_after(app, owner, after).await?;
        let Some(last) = rooms.last() else { break };
        after = Some(last.id);
        for room in rooms {
            if !std::mem::take(&mut is_first) {
                outlet.send(",").await?;
            }
            write_json(app, owner, room, outlet).await?;
        }
    }
    outlet.send("]").await
}

async fn write_json(app: &App, owner: UserId, room: Chatroom, outlet: &Outlet) -> Result<(), Cut> {
    let id = room.id;
    let shown = serde_json::to_string(&ChatroomView::from(room)).expect("a room is plain data");
    outlet.send(format!("{{\"chatroom\":{shown},\"attachments\":[")).await?;
    let (mut after, mut is_first) = (None, true);
    loop {
        let files = chat::attachments_after(app, id, after).await?;
        let Some(last) = files.last() else { break };
        after = Some(last.id);
        let base = app.settings.server.base_path();
        let views = files.into_iter().map(|file| ExportedAttachmentView {
            path: format!("{base}/chatroom/{id}/attachments/{}", file.id),
            file: file.into(),
        });
        outlet.items(&mut is_first, &views.collect::<Vec<_>>()).await?;
    }
    outlet.send("],\"messages\":[").await?;
    let (mut seq, mut is_first) = (0, true);
    loop {
        let messages = chat::messages_after(app, owner, id, seq).await?.ok_or(Cut::Changed)?;
        let Some(last) = messages.last() else { break };
        seq = last.seq;
        let views: Vec<_> = messages.into_iter().map(MessageView::from).collect();
        outlet.items(&mut is_first, &views).await?;
    }
    let summaries = chat::summaries(app, id).await?;
    let summaries: Vec<_> = summaries.into_iter().map(SummaryView::from).collect();
    outlet.send(format!("],\"summaries\":{}}}", serde_json::to_string(&summaries).expect("plain data"))).await
}

async fn write_markdown(app: &App, owner: UserId, room: Chatroom, outlet: &Outlet) -> Result<(), Cut> {
    let mut text = format!("# {}\n", one_line(room.name.as_deref().unwrap_or("Chatroom")));
    if let Some(instruction) = &room.system_instruction {
        let _ = write!(text, "\n> {}\n", instruction.trim().replace('\n', "\n> "));
    }
    outlet.send(text).await?;
    let mut last = None;
    loop {
        let messages = chat::branch_after(app, owner, room.id, last.as_ref()).await?.ok_or(Cut::Changed)?;
        outlet.send(messages.iter().map(to_markdown).collect::<String>()).await?;
        last = messages.into_iter().next_back();
        if last.is_none() {
            return Ok(());
        }
    }
}

fn to_markdown(message: &Message) -> String {
    let who = match (message.role, &message.model) {
        (Role::User, _) => "You",
        (Role::Model, Some(model)) => model,
        (Role::Model, None) => "Model",
    };
    let content = message.content.trim();
    let files = message.attachments.iter().fold(String::new(), |mut files, file| {
        let _ = write!(files, "\n*Attached: {}*\n", one_line(&file.name));
        files
    });
    let text = match (message.status, &message.error) {
        (Status::Queued | Status::Generating, _) => "*This answer is being written.*",
        (Status::Failed, Some(error)) => &format!("*There is no answer: {}*", one_line(&error.message)),
        _ => content,
    };
    format!("\n## {who} · {}\n\n{text}\n{files}", message.created_at)
}

/// What stands in a line of its own has no other lines in it.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
