//! What people do with files.

use serde_json::{Value, json};

use super::answer::Answer;
use super::person::Person;

/// A form's boundary.
const BOUNDARY: &str = "a-boundary-of-the-tests";
pub(crate) const FORM: &str = "multipart/form-data; boundary=a-boundary-of-the-tests";

/// A picture of 64 by 64, as far as its head; so many bytes.
pub(crate) fn png(bytes: usize) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x40\0\0\0\x40".to_vec();
    file.resize(bytes.max(file.len()), b'.');
    file
}

/// A document of so many pages.
pub(crate) fn pdf(pages: usize) -> Vec<u8> {
    format!("%PDF-1.4\n<</Type /Pages>>\n{}%%EOF\n", "<</Type /Page>>\n".repeat(pages)).into_bytes()
}

/// A part of a form that is a file.
pub(crate) fn part(name: &str, content: &[u8]) -> Vec<u8> {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    [head.as_bytes(), content, b"\r\n"].concat()
}

/// A form with one file in it.
pub(crate) fn form(name: &str, content: &[u8]) -> Vec<u8> {
    [part(name, content), end()].concat()
}

pub(crate) fn end() -> Vec<u8> {
    format!("--{BOUNDARY}--\r\n").into_bytes()
}

impl Person<'_> {
    /// Sends a file.
    pub(crate) async fn upload(&self, room: &str, name: &str, content: &[u8]) -> Answer {
        let call = self.call("POST", &format!("/chatroom/{room}/attachments"));
        call.body(FORM, form(name, content)).send().await
    }

    /// Sends a file that is taken; its id.
    pub(crate) async fn uploads(&self, room: &str, name: &str, content: &[u8]) -> String {
        let made = self.upload(room, name, content).await.expect(201).json();
        made["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn download(&self, room: &str, id: &str) -> Answer {
        self.get(&format!("/chatroom/{room}/attachments/{id}")).await
    }

    /// Sends a message with files.
    pub(crate) async fn say_with(&self, room: &str, text: &str, files: &[&str]) -> Answer {
        self.post(&format!("/chatroom/{room}/message"), json!({"content": text, "attachments": files})).await
    }

    /// Sends a message with files and waits until there is nothing to do; the reply.
    pub(crate) async fn hears_of(&self, room: &str, text: &str, files: &[&str]) -> Value {
        let accepted = self.say_with(room, text, files).await.expect(202).json();
        self.app.settle().await;
        self.message(room, accepted["reply"]["id"].as_str().expect("an id")).await
    }
}
