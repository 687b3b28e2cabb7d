//! One thing that is wrong with a request.

use serde_json::{Value, json};

use crate::random::Random;
use crate::request::Request;

const TOKENS: [&str; 9] = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer x",
    "Basic YTpi",
    "Bearer a.b.c",
    "bearer null",
    // {"alg":"none"} over claims that would be good for years.
    "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiIwMTk5ZjdhNC02ZTMwLTdjNjEtYTFmMC01ZDFjNmEwYjljMTEiLCJleHAiOjQxMDI0NDQ4MDB9.",
    // Signed with a key of somebody else's.
    "Bearer eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2lnbmVkIGJ5IHNvbWVib2R5IGVsc2UgZW50aXJlbHk",
];
/// Percent-encoded already.
const SEGMENTS: [&str; 12] = [
    "1",
    "null",
    "%00",
    "%ff",
    "%20",
    "%2e%2e",
    "%2Fetc%2Fpasswd",
    "00000000-0000-0000-0000-000000000000",
    "0199f7a4-6e30-7c61-a1f0-5d1c6a0b9c11",
    "urn:uuid:0199f7a4-6e30-7c61-a1f0-5d1c6a0b9c11",
    "%F0%9F%98%80",
    "create",
];
const VALUES: [&str; 12] =
    ["", "-1", "0", "201", "1e9", "99999999999999999999", "%00", "%ff", "x", "true", "%F0%9F%98%80", "a%26b%3D"];
const HEADERS: [(&str, &str); 14] = [
    ("idempotency-key", ""),
    ("idempotency-key", "a b"),
    ("content-type", "text/plain"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "multipart/form-data; boundary=x"),
    ("content-type", "application/json; charset=utf-16"),
    ("content-type", ""),
    ("content-encoding", "gzip"),
    ("accept", "text/html"),
    ("if-none-match", "W/\"\", *, \"x"),
    ("prefer", "wait=-1"),
    ("x-request-id", "{\"a\":1}"),
    ("x-forwarded-for", "unknown, , 999.1.1.1"),
    ("origin", "null"),
];

/// Changes one thing, and not into what it was.
pub(crate) fn apply(request: &mut Request, random: &mut Random) {
    let valid = request.clone();
    while *request == valid {
        try_one(request, random);
        request.is_elsewhere |= request.method != valid.method || request.path != valid.path;
        request.is_signed_in &=
            request.headers.iter().all(|header| header.0 != "authorization" || valid.headers.contains(header));
    }
}

fn try_one(request: &mut Request, random: &mut Random) {
    match random.below(if request.body.is_some() { 10 } else { 5 }) {
        0 => {
            let at = random.below(request.path.len());
            request.path[at] = (*random.pick(&SEGMENTS)).to_owned();
        }
        1 => {
            let names = ["limit", "cursor", "order", "after", "archived", "scope", "unknown"];
            let value = (*random.pick(&VALUES)).to_owned();
            request.query.push(((*random.pick(&names)).to_owned(), value));
        }
        2 => {
            set_header(request, "authorization", random.pick::<&str>(&TOKENS));
        }
        3 => {
            let (name, value) = random.pick(&HEADERS);
            set_header(request, name, value);
        }
        4 => {
            request.method = (*random.pick(&["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"])).to_owned();
        }
        5..=7 => change_value(request, random),
        _ => change_bytes(request, random),
    }
}

fn set_header(request: &mut Request, name: &str, value: &str) {
    request.headers.retain(|(other, _)| other != name);
    request.headers.push((name.to_owned(), value.to_owned()));
}

/// The body is still JSON, but one value in it is another.
fn change_value(request: &mut Request, random: &mut Random) {
    let body = request.body.as_deref().unwrap_or_default();
    // A form has no values to change.
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return change_bytes(request, random) };
    let Some(members) = value.as_object_mut() else { return };
    let names: Vec<String> = members.keys().cloned().collect();
    let name = if names.is_empty() { "name".to_owned() } else { random.pick(&names).clone() };
    match random.below(12) {
        0 => drop(members.remove(&name)),
        1 => drop(members.insert("unknown".to_owned(), json!({"deep": [1, null]}))),
        _ => drop(members.insert(name, other_value(random))),
    }
    request.body = Some(value.to_string().into_bytes());
}

fn other_value(random: &mut Random) -> Value {
    match random.below(16) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(1.5),
        4 => json!(u64::MAX),
        5 => json!([]),
        6 => json!([["a"]]),
        7 => json!({}),
        8 => json!(""),
        9 => json!("   \t\n"),
        10 => json!("a\u{0}b"),
        11 => json!("x".repeat(33_000)),
        12 => json!("😀".repeat(32_001)),
        13 => json!("\u{feff}\u{202e}\u{200b}"),
        14 => json!("'; drop table users; --"),
        _ => json!(random.text(64)),
    }
}

/// The body is no longer what its type says, or no longer small.
fn change_bytes(request: &mut Request, random: &mut Random) {
    let body = request.body.take().unwrap_or_default();
    let cut = random.below(body.len());
    request.body = Some(match random.below(14) {
        0 => body[..cut].to_vec(),
        1 => [&body[..], b"}"].concat(),
        2 => [&body[..cut], &b"\xff\xfe"[..], &body[cut..]].concat(),
        3 => [&b"\xef\xbb\xbf"[..], &body].concat(),
        4 => [&b"["[..], &body, b"]"].concat(),
        5 => b"null".to_vec(),
        6 => Vec::new(),
        7 => b"{\"name\":\"\\ud800\",\"content\":\"\\udc00\",\"mobile\":\"\\ud800\\ud800\"}".to_vec(),
        8 => "[".repeat(10_000).into_bytes(),
        9 => format!("{{\"content\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000)).into_bytes(),
        10 => format!("{{\"content\":\"a\",\"x\":{}1{}}}", "{\"a\":".repeat(5_000), "}".repeat(5_000)).into_bytes(),
        11 => format!("{{\"content\":\"{}\"}}", "a".repeat(300_000)).into_bytes(),
        12 => b"{\"content\":1e999,\"name\":-1e999}".to_vec(),
        _ => b"{\"content\":\"a\",\"content\":\"b\",\"name\":\"a\",\"name\":\"b\"}".to_vec(),
    });
}
