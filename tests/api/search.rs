//! Search: the same messages on either engine, the caller's alone, the best first.

use std::time::Duration;

use gemini_backend::chat::{self, Sender, Text};
use gemini_backend::execute;
use gemini_backend::ids::ChatroomId;
use gemini_backend::sandbox::gemini::Rule;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::harness::{Answer, Person, TestApp};

fn path(query: &str, more: &str) -> String {
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    format!("/search?q={query}{more}")
}

impl Person<'_> {
    async fn searches(&self, query: &str) -> Vec<Value> {
        let list = self.get(&path(query, "&limit=200")).await.expect(200).json();
        assert_eq!(list["next_cursor"], Value::Null);
        list["data"].as_array().expect("a list").clone()
    }

    /// The texts that are found, the best first.
    async fn finds(&self, query: &str) -> Vec<String> {
        let found = self.searches(query).await.into_iter();
        found.map(|one| one["message"]["content"].as_str().expect("a text").to_owned()).collect()
    }

    async fn refused(&self, path: &str) -> Answer {
        self.get(path).await.expect(422)
    }
}

/// A service whose worker does nothing: what people say is all there is.
async fn quiet() -> TestApp {
    let mut app = TestApp::idle(|settings| settings.quota.basic_daily_prompts = 10_000).await;
    app.may_leave_jobs();
    app
}

#[tokio::test]
async fn every_script_finds_what_was_said() {
    let app = quiet().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    for text in
        ["我喜欢北京的天气", "मुझे यह किताब पसंद है", "party 🎉👍🏽 tonight", "Crème brûlée, s'il vous plaît", "Tokyo tower"]
    {
        ada.ask(&room, text).await;
    }
    for (query, found) in [
        ("北京", "我喜欢北京的天气"),
        ("天", "我喜欢北京的天气"),
        ("किताब", "मुझे यह किताब पसंद है"),
        ("🎉", "party 🎉👍🏽 tonight"),
        ("👍", "party 🎉👍🏽 tonight"),
        ("creme BRULEE", "Crème brûlée, s'il vous plaît"),
        ("brûlée", "Crème brûlée, s'il vous plaît"),
        ("cre\u{300}me", "Crème brûlée, s'il vous plaît"),
        ("tok", "Tokyo tower"),
        ("tower tokyo", "Tokyo tower"),
        ("ＴＯＫＹＯ", "Tokyo tower"),
    ] {
        assert_eq!(ada.finds(query).await, [found], "{query}");
    }
    for query in ["京北", "to", "किताबें", "okyo", "tokyo party", "🎈"] {
        assert!(ada.finds(query).await.is_empty(), "{query}");
    }
}

#[tokio::test]
async fn a_snippet_marks_the_hits_and_escapes_the_rest() {
    let app = quiet().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    ada.ask(&room, "Is <b>Paris</b> & \"Lyon\" a trip?").await;
    let found = ada.searches("par lyon").await.remove(0);
    let html = "Is &lt;b&gt;<mark>Paris</mark>&lt;/b&gt; &amp; &quot;<mark>Lyon</mark>&quot; a trip?";
    assert_eq!(found["snippet"], html);
    assert_eq!(found["chatroom"]["id"], *room);
    assert_eq!(found["message"]["role"], "user");
}

#[tokio::test]
async fn a_reply_is_found_when_it_has_ended() {
    let app = TestApp::start().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    app.gemini.script(Rule::chunks(["It is a zebra", " crossing."]).hold(1));
    let reply = ada.asks(&room, "What is that?").await;
    app.until_held(1).await;
    assert!(ada.finds("zebra").await.is_empty());
    app.gemini.release();
    app.settle().await;
    let found = ada.searches("zebra crossing").await;
    assert_eq!((found.len(), &found[0]["message"]["id"]), (1, &Value::from(reply)));
    assert_eq!(ada.finds("what").await, ["What is that?"]);
}

#[tokio::test]
async fn only_the_callers_own_are_found_archived_ones_too_and_deleted_ones_no_more() {
    let app = quiet().await;
    let (ada, bob) = (app.sign_up().await, app.sign_up().await);
    let (kept, deleted, other) = (ada.new_room().await, ada.new_room().await, bob.new_room().await);
    ada.ask(&kept, "secret one").await;
    ada.ask(&deleted, "secret two").await;
    bob.ask(&other, "secret three").await;
    assert_eq!(bob.finds("secret").await, ["secret three"]);
    ada.patch(&format!("/chatroom/{kept}"), serde_json::json!({"archived": true})).await.expect(200);
    assert_eq!(ada.finds("secret").await, ["secret two", "secret one"]);

    // As a process leaves it that died behind the first transaction of the deletion.
    let room: ChatroomId = deleted.parse().expect("an id");
    let mut tx = app.app.store.begin().await.expect("a transaction");
    let nobody = uuid::Uuid::nil();
    execute!(&mut tx, "update chatrooms set owner = $2 where id = $1", room, nobody).expect("disowned");
    tx.commit().await.expect("committed");
    assert_eq!(ada.finds("secret").await, ["secret one"]);
    chat::sweep_deleted(&app.app).await.expect("swept");
    assert_eq!(app.count("select count(*) from message_terms").await, 2);
    ada.delete(&format!("/chatroom/{kept}")).await.expect(204);
    assert!(ada.finds("secret").await.is_empty());
    assert_eq!(app.count("select count(*) from message_terms").await, 1);
}

#[tokio::test]
async fn whole_words_come_first_then_the_newest_and_pages_join() {
    let app = quiet().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    let texts = ["cat 1", "cats 2", "cat 3", "category 4", "CAT 5", "dog 6", "catalogue 7"];
    for text in texts {
        ada.ask(&room, text).await;
    }
    let best = ["CAT 5", "cat 3", "cat 1", "catalogue 7", "category 4", "cats 2"];
    assert_eq!(ada.finds("cat").await, best);
    for limit in 1..=4 {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let list = ada.get(&path("cat", &format!("&limit={limit}&cursor={cursor}"))).await.expect(200).json();
            let data = list["data"].as_array().expect("a list");
            seen.extend(data.iter().map(|one| one["message"]["content"].as_str().expect("a text").to_owned()));
            match list["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
            // What is new meanwhile is neither missed nor does it push anything out.
            ada.ask(&room, "unrelated").await;
        }
        assert_eq!(seen, best, "{limit}");
    }
}

#[tokio::test]
async fn queries_are_only_text() {
    let app = quiet().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    ada.ask(&room, "plain words here").await;
    let hostile = [
        "\"",
        "'",
        "''",
        "\\",
        "*",
        "a*",
        "terms:plain",
        "plain OR nothing",
        "plain AND",
        "NOT plain",
        "NEAR(plain words)",
        "^plain",
        "plain:*",
        "!plain",
        "plain & | !",
        "(((",
        "');drop table messages;--",
        "%",
        "_",
        "\u{feff}",
        "$1",
        "plain -words",
        "{plain}",
        "\u{202e}nialp",
        "<->",
        "\u{1f3fd}",
        "a\nb\tc",
        "{\"q\": 1}",
    ];
    for query in hostile {
        ada.searches(query).await;
    }
    for query in ["plain*", "\"plain\" 'words'", "plain:*", "!plain", "^plain", "-plain", "{plain} (words)"] {
        assert_eq!(ada.finds(query).await, ["plain words here"], "{query}");
    }
    for query in ["?", "...", "* \" '", "\u{200d}"] {
        assert!(ada.finds(query).await.is_empty(), "{query}");
    }
    let longest: String = (0..200_u32).filter_map(|n| char::from_u32(0x4e00 + n * 7)).collect();
    assert!(ada.finds(&longest).await.is_empty());
    let words: String = (0..100_u32).filter_map(|n| char::from_u32(0x4e00 + n)).flat_map(|one| [one, ' ']).collect();
    assert!(ada.finds(&words).await.is_empty());
    for bad in ["/search".to_owned(), path("", ""), path("  ", ""), path(&"x".repeat(201), ""), path("x", "&cursor=x")]
    {
        ada.refused(&bad).await;
    }
    assert_eq!(ada.refused("/search?q=%00").await.json()["errors"][0]["field"], "q");
}

#[tokio::test]
async fn what_was_said_before_there_was_a_search_is_found_after_a_while() {
    let app = quiet().await;
    let ada = app.sign_up().await;
    let room = ada.new_room().await;
    for number in 0..5 {
        ada.ask(&room, &format!("ancient {number}")).await;
    }
    let forget = async || {
        let mut tx = app.app.store.begin().await.expect("a transaction");
        execute!(&mut tx, "delete from message_terms").expect("forgotten");
        tx.commit().await.expect("committed");
    };
    let index = async || chat::index_older(&app.app).await.expect("indexed");
    forget().await;
    assert!(ada.finds("ancient").await.is_empty());
    assert_eq!(index().await, 5);
    assert_eq!(ada.finds("ancient").await.len(), 5);
    // An older process beside this one goes on writing without terms.
    forget().await;
    assert_eq!((index().await, index().await), (5, 0));
    app.clock.advance(Duration::from_hours(26));
    assert_eq!(index().await, 0);
    assert_eq!(app.count("select count(*) from message_terms_progress").await, 0);
    assert_eq!(index().await, 0);
}

/// A word in several spellings that are the same to a search, or a piece of a script without spaces, or an emoji.
const PIECES: [&[&str]; 14] = [
    &["cafe", "Café", "CAFÉ"],
    &["cafes", "cafés"],
    &["ca", "CA"],
    &["strasse", "Straße"],
    &["stra"],
    &["x", "X"],
    &["天气", "天气"],
    &["气天"],
    &["天"],
    &["天气天"],
    &["किताब"],
    &["किताबें"],
    &["👍", "👍🏽"],
    &["🎉"],
];

fn is_chinese(piece: &str) -> bool {
    piece.chars().all(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter))
}

/// Whether a text made of some pieces has what a query of one piece asks for.
fn meets(text: &[usize], wanted: usize) -> bool {
    let wanted = PIECES[wanted][0];
    let letters: Vec<char> = wanted.chars().collect();
    let has = |part: &str| text.iter().any(|piece| is_chinese(PIECES[*piece][0]) && PIECES[*piece][0].contains(part));
    if is_chinese(wanted) {
        return has(wanted) || letters.len() > 2 && letters.windows(2).all(|pair| has(&String::from_iter(pair)));
    }
    text.iter().any(|piece| {
        let piece = PIECES[*piece][0];
        piece == wanted || letters.len() > 2 && piece.starts_with(wanted)
    })
}

#[tokio::test]
async fn random_queries_find_what_a_simple_model_finds() {
    let app = quiet().await;
    let ada = app.sign_up().await;
    let room: ChatroomId = ada.new_room().await.parse().expect("an id");
    let mut runner = TestRunner::deterministic();
    let pieces = prop::collection::vec((0..PIECES.len(), any::<usize>(), select(vec![" ", ", ", "\n", " - "])), 1..6);
    let mut make = |most: usize| {
        let made = pieces.new_tree(&mut runner).expect("pieces").current();
        let made: Vec<_> = made.into_iter().take(most).collect();
        let spelled = made.iter().map(|(piece, spelling, gap)| {
            let spellings = PIECES[*piece];
            format!("{}{gap}", spellings[spelling % spellings.len()])
        });
        (spelled.collect::<String>(), made.iter().map(|(piece, ..)| *piece).collect::<Vec<_>>())
    };
    let sender = Sender { user: ada.user, daily_limit: None };
    let mut said = Vec::new();
    for _ in 0..150 {
        let (text, pieces) = make(5);
        let message = Text::try_from(text.clone()).expect("a text");
        chat::send(&app.app, sender, room, &message, None).await.expect("it is taken in");
        said.push((text, pieces));
    }
    for _ in 0..200 {
        let (query, wanted) = make(3);
        let found = chat::search(&app.app, ada.user, query.trim(), None, 1000).await.expect("a search");
        let mut found: Vec<_> = found.into_iter().map(|one| one.message.content).collect();
        let model = said.iter().filter(|(_, text)| wanted.iter().all(|piece| meets(text, *piece)));
        let mut model: Vec<_> = model.map(|(text, _)| text.clone()).collect();
        found.sort();
        model.sort();
        assert_eq!(found, model, "{query:?}");
    }
    if app.app.store.is_embedded() {
        let delete = "delete from messages where seq % 4 = 1";
        let check = "insert into message_terms (message_terms) values ('integrity-check')";
        let mut tx = app.app.store.begin().await.expect("a transaction");
        execute!(&mut tx, delete).expect("deleted");
        tx.commit().await.expect("committed");
        let mut tx = app.app.store.begin().await.expect("a transaction");
        execute!(&mut tx, check).expect("the index is as it should be");
        tx.commit().await.expect("committed");
    }
}
