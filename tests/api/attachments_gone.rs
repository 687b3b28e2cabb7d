//! Files go for good: with their room, with their person, after a day without a message, whatever dies in between.

use std::time::Duration;

use bytes::Bytes;
use gemini_backend::chat::attachments::{self, Name, NewFile};
use gemini_backend::chat::{self, RoomError};
use gemini_backend::ids::ChatroomId;
use gemini_backend::{execute, retention};

use crate::harness::files::png;
use crate::harness::{Person, TestApp};

const DAY: Duration = Duration::from_hours(24);

/// Rows of files, links to messages, objects that wait to be deleted, and the objects there are.
async fn left(app: &TestApp) -> (i64, i64, i64, usize) {
    (
        app.count("select count(*) from attachments").await,
        app.count("select count(*) from message_attachments").await,
        app.count("select count(*) from objects_to_delete").await,
        app.objects().len(),
    )
}

fn room_id(room: &str) -> ChatroomId {
    room.parse().expect("an id")
}

/// Takes a file in, straight in the house.
async fn take_in(person: &Person<'_>, room: &str) -> Result<(), attachments::AttachmentError> {
    let file = NewFile { name: Name::of("a.png"), content: Bytes::from(png(20_000)) };
    attachments::upload(&person.app.app, person.user, room_id(room), &file, None).await.map(drop)
}

#[tokio::test]
async fn a_file_that_is_removed_is_gone_row_and_object() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let id = ada.uploads(&room, "a.png", &png(100)).await;
    let path = format!("/chatroom/{room}/attachments/{id}");
    ada.delete(&path).await.expect(204);
    assert_eq!(left(&app).await, (0, 0, 0, 0));
    assert_eq!(ada.delete(&path).await.expect(404).code(), "attachment_not_found");
    assert_eq!(ada.get(&path).await.expect(404).code(), "attachment_not_found");
    assert_eq!(ada.say_with(&room, "look", &[&id]).await.expect(422).json()["errors"][0]["field"], "attachments");
}

#[tokio::test]
async fn what_no_message_carries_goes_after_a_day() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let (used, unused) = (ada.uploads(&room, "a", &png(100)).await, ada.uploads(&room, "b", &png(100)).await);
    ada.hears_of(&room, "look", &[&used]).await;
    app.clock.advance(DAY);
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!(left(&app).await, (2, 1, 0, 2), "exactly a day is not more than a day");
    app.clock.advance(Duration::from_millis(1));
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!(left(&app).await, (1, 1, 0, 1));
    let ada = ada.at(&app);
    ada.download(&room, &used).await.expect(200);
    ada.download(&room, &unused).await.expect(404);
}

#[tokio::test]
async fn a_room_takes_its_files_along() {
    let app = TestApp::with(|settings| settings.retention.batch = 2).await;
    let ada = app.sign_up().await;
    let (room, other) = (ada.new_room().await, ada.new_room().await);
    let mut files = Vec::new();
    for number in 0..5 {
        files.push(ada.uploads(&room, &format!("{number}"), &png(100)).await);
    }
    let kept = ada.uploads(&other, "kept", &png(100)).await;
    ada.hears_of(&room, "look", &[&files[0], &files[1], &files[2]]).await;
    assert_eq!(left(&app).await, (6, 3, 0, 6));
    ada.delete(&format!("/chatroom/{room}")).await.expect(204);
    assert_eq!(left(&app).await, (1, 0, 0, 1));
    ada.download(&room, &files[0]).await.expect(404);
    ada.download(&other, &kept).await.expect(200);
}

#[tokio::test]
async fn an_object_that_is_lost_is_a_404_and_no_500() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let id = ada.uploads(&room, "a.png", &png(100)).await;
    for object in app.objects() {
        std::fs::remove_file(object).expect("removed");
    }
    assert_eq!(ada.download(&room, &id).await.expect(404).code(), "attachment_not_found");
    ada.delete(&format!("/chatroom/{room}/attachments/{id}")).await.expect(204);
    assert_eq!(left(&app).await, (0, 0, 0, 0));
}

#[tokio::test]
async fn an_upload_that_is_cut_anywhere_leaves_nothing_behind() {
    let app = TestApp::idle(|settings| settings.files.most_unused = 1_000).await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let (mut rows_alone, mut whole, mut micros) = (0, 0, 0);
    while whole < 3 {
        let cut = tokio::time::timeout(Duration::from_micros(micros), take_in(&ada, &room)).await;
        let (rows, _, _, _) = left(&app).await;
        let good = app.count("select count(*) from attachments where stored_at is not null").await;
        rows_alone += i64::from(rows > good);
        whole += i64::from(cut.is_ok_and(|made| made.is_ok()));
        // What was being written when its process died is whole or not by now.
        let objects = async || (app.count("select count(*) from attachments").await, app.objects().len());
        crate::harness::until("what was begun has come to rest", async || {
            let (rows, objects) = objects().await;
            let halves = app.objects().iter().any(|path| path.to_string_lossy().contains('#'));
            (!halves && i64::try_from(objects).expect("few") <= rows).then_some(())
        })
        .await;
        app.clock.advance(DAY + Duration::from_millis(1));
        retention::sweep(&app.app).await.expect("a sweep");
        app.clock.advance(Duration::from_mins(16));
        retention::sweep(&app.app).await.expect("a sweep");
        assert_eq!(left(&app).await, (0, 0, 0, 0), "cut after {micros} µs");
        micros = 100 + micros * 5 / 4;
    }
    assert!(rows_alone > 0, "none was cut between the row and the word that its object is there");
}

#[tokio::test]
async fn what_a_dead_process_left_half_written_goes_too() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    ada.uploads(&room, "a.png", &png(100)).await;
    // As it stands when the process dies in the middle: a row that was not made good, and a part of its object.
    let mut tx = app.app.store.begin().await.expect("a transaction");
    execute!(&mut tx, "update attachments set stored_at = null").expect("not made good");
    tx.commit().await.expect("committed");
    let object = app.objects().pop().expect("an object");
    let mut half = object.clone().into_os_string();
    half.push("#1");
    std::fs::rename(&object, &half).expect("renamed");
    app.clock.advance(DAY + Duration::from_millis(1));
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!(left(&app).await, (0, 0, 1, 0), "once more later: what hung may still come");
    app.clock.advance(Duration::from_mins(15));
    retention::sweep(&app.app).await.expect("a sweep");
    assert_eq!(left(&app).await, (0, 0, 0, 0));
}

#[tokio::test]
async fn a_room_that_goes_while_a_file_comes_leaves_nothing() {
    let app = TestApp::idle(|settings| settings.files.most_unused = 1_000).await;
    let ada = app.sign_up().await;
    let (mut refused, mut taken) = (0, 0);
    for round in 0..30 {
        let ada = ada.at(&app);
        let room = ada.new_room().await;
        let delete = async {
            tokio::time::sleep(Duration::from_micros(round * 150)).await;
            chat::delete_room(&app.app, ada.user, room_id(&room)).await
        };
        let (made, deleted) = tokio::join!(take_in(&ada, &room), delete);
        assert!(matches!(deleted, Ok(()) | Err(RoomError::NoSuchRoom)), "{deleted:?}");
        match made {
            Ok(()) => taken += 1,
            Err(attachments::AttachmentError::NoSuchRoom) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        assert_eq!(app.objects().len(), 0, "{round}");
        app.clock.advance(Duration::from_mins(16));
        retention::sweep(&app.app).await.expect("a sweep");
        assert_eq!(left(&app).await, (0, 0, 0, 0), "{round}");
    }
    assert!(refused > 0, "{refused} refused, {taken} taken");
}

#[tokio::test]
async fn the_sweep_takes_nothing_that_a_message_has_just_taken() {
    let app = TestApp::with(|settings| {
        settings.quota.basic_daily_prompts = 100;
        settings.files.most_unused = 100;
    })
    .await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    for round in 0..20 {
        let file = ada.at(&app).uploads(&room, "a.png", &png(100)).await;
        app.clock.advance(DAY + Duration::from_millis(1));
        let person = ada.at(&app);
        let files = [file.as_str()];
        let sweep = async {
            tokio::time::sleep(Duration::from_micros(round * 200)).await;
            attachments::sweep_unused(&app.app, app.clock.now().minus(DAY), 100).await
        };
        let (said, swept) = tokio::join!(person.say_with(&room, "look", &files), sweep);
        let swept = swept.expect("a sweep");
        match said.status {
            202 => {
                assert_eq!(swept, 0);
                person.download(&room, &file).await.expect(200);
            }
            422 => assert_eq!(swept, 1),
            other => panic!("{other}"),
        }
        app.settle().await;
    }
    let linked = "select count(*) from message_attachments c join attachments a on a.id = c.attachment_id";
    assert_eq!(app.count(linked).await, app.count("select count(*) from message_attachments").await);
}
