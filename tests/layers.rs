//! Rooms import from floors below theirs, never from above, and rooms of one floor do not know each other. And the
//! measurement says to the database what the server says.

use std::path::Path;

/// The house, upper floors first. The `main` program is above all and speaks to the library from outside.
const FLOORS: &[&[&str]] = &[
    &["cli"],
    &["serve", "worker", "retention"],
    &["sandbox", "web", "admin"],
    &["account"],
    &["chat"],
    &["billing"],
    &["auth"],
    &["app"],
    &["gemini", "stripe", "sms", "files", "jobs", "live", "limits", "keys", "people", "traces"],
    &["http"],
    &["store"],
    &["config"],
    &["clock", "ids"],
];
/// What the stand-ins must not share a type with: a wrong guess about the wire would cancel itself out.
const CLIENTS: [&str; 3] = ["gemini", "stripe", "sms"];
/// The room whose exported macros stand at the crate's root.
const MACROS_OF: &str = "store";
/// Beside what lies below: ids are made at moments.
const NEIGHBOURS: [(&str, &str); 1] = [("ids", "clock")];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// What is wrong with the imports of a file, by its path below `src`.
fn faults(path: &str, text: &str, macros: &[String]) -> Vec<String> {
    let room = path.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    if matches!(room, "lib" | "main") {
        return Vec::new();
    }
    let Some(own) = floor(room) else { return vec![format!("{path}: the room {room} stands on no floor")] };
    let wrong = |target: &String| {
        let is_allowed = target == room || NEIGHBOURS.contains(&(room, target));
        let is_forbidden = room == "sandbox" && CLIENTS.contains(&target.as_str());
        !is_allowed && (is_forbidden || floor(target).is_none_or(|floor| floor <= own))
    };
    let targets = imports(text, macros).into_iter().filter(wrong);
    targets.map(|target| format!("{path}: {room} must not know {target}")).collect()
}

/// The rooms that follow `crate::` anywhere in the code, in groups too.
fn imports(text: &str, macros: &[String]) -> Vec<String> {
    let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let after = code.match_indices("crate::").map(|(at, word)| &code[at + word.len()..]);
    let mut rooms: Vec<_> = after.flat_map(first_names).collect();
    for room in &mut rooms {
        if macros.contains(room) {
            MACROS_OF.clone_into(room);
        }
    }
    rooms.sort();
    rooms.dedup();
    rooms
}

/// `a::b` gives a; `{a, b::{c, d}}` gives a and b.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut names = vec![String::new()];
    let mut depth = 0_usize;
    for letter in group.chars() {
        match letter {
            '}' if depth == 0 => break,
            ',' if depth == 0 => names.push(String::new()),
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 && letter != ',' {
            names.last_mut().expect("there is always one").push(letter);
        }
    }
    names.iter().map(|part| name(part.trim())).filter(|name: &String| !name.is_empty()).collect()
}

/// Names of the macros that a file exports.
fn exported_macros(text: &str) -> Vec<String> {
    let after = text.split("#[macro_export]").skip(1);
    let names = after.filter_map(|rest| rest.trim_start().strip_prefix("macro_rules! ")?.split([' ', '{']).next());
    names.map(str::to_owned).collect()
}

/// Every source file, by its path below `src`.
fn sources() -> Vec<(String, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    files(&source, &mut paths);
    let name = |path: &Path| path.strip_prefix(&source).expect("below src").to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).expect("a source file"))).collect()
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_point_down() {
    let sources = sources();
    assert!(sources.len() > 50, "only {} files were found", sources.len());
    let exporting = sources.iter().filter(|(_, text)| text.contains("#[macro_export]"));
    let (mut macros, mut rooms) = (Vec::new(), Vec::new());
    for (path, text) in exporting {
        macros.extend(exported_macros(text));
        rooms.push(path.split('/').next().unwrap_or_default());
    }
    assert!(macros.len() >= 6 && rooms.iter().all(|room| *room == MACROS_OF), "{macros:?} of {rooms:?}");
    let faults: Vec<_> = sources.iter().flat_map(|(path, text)| faults(path, text, &macros)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_bad_import_is_found_however_it_is_written() {
    let bad = [
        ("store/sql.rs", "use crate::http::ApiError;"),
        ("chat/send.rs", "use crate::account;"),
        ("gemini/mod.rs", "pub use crate::jobs::Job;"),
        ("auth/mod.rs", "use crate::{clock::Moment, billing::{self, Prompts}};"),
        ("auth/mod.rs", "fn f() { crate::chat::send::send() }"),
        ("sandbox/gemini/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::serve;\n}"),
        ("sandbox/gemini/mod.rs", "use crate::gemini::Role;"),
        ("config/mod.rs", "use crate::{execute, fetch_one};"),
        ("clock.rs", "use crate::ids::UserId;"),
        ("cellar/mod.rs", "use crate::clock::Clock;"),
    ];
    let macros = ["execute".to_owned(), "fetch_one".to_owned()];
    for (path, text) in bad {
        assert_eq!(faults(path, text, &macros).len(), 1, "{path}: {text}");
    }
    let good = [
        ("chat/send.rs", "use crate::{billing::{self, quota}, jobs, execute};\nuse crate::chat::sql;"),
        ("clock.rs", "/// [`App`](crate::app::App)\nuse std::sync::Arc;"),
        ("ids.rs", "use crate::clock::Moment;"),
        ("main.rs", "use gemini_backend::cli;"),
    ];
    for (path, text) in good {
        assert_eq!(faults(path, text, &macros), Vec::<String>::new(), "{path}: {text}");
    }
}

/// The statements that a text holds, a space between two words.
fn statements(text: &str) -> Vec<String> {
    let verbs = ["select ", "insert ", "update ", "delete "];
    let (mut found, mut literal, mut letters) = (Vec::new(), None::<String>, text.chars());
    while let Some(letter) = letters.next() {
        match (letter, &mut literal) {
            ('"', None) => literal = Some(String::new()),
            ('"', Some(_)) => found.extend(literal.take()),
            ('\\', Some(_)) => drop(letters.next()),
            (letter, Some(literal)) => literal.push(letter),
            (_, None) => {}
        }
    }
    found.retain(|literal| verbs.iter().any(|verb| literal.starts_with(verb)));
    found.iter().map(|literal| in_one_line(literal)).collect()
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_measured_beside_the_server_are_its_own_statements() {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/speed/statements.rs");
    let measured = statements(&std::fs::read_to_string(bench).expect("the measurement's statements"));
    assert_eq!(measured.len(), 11, "{measured:#?}");
    let house: Vec<_> = sources().iter().map(|(_, text)| in_one_line(text)).collect();
    let strange: Vec<_> =
        measured.iter().filter(|sql| !house.iter().any(|text| text.contains(&format!("\"{sql}\"")))).collect();
    assert!(strange.is_empty(), "the server does not say: {strange:#?}");
}
