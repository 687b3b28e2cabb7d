//! Every operation of the OpenAPI document was called by the whole `api` suite, which runs before this (cargo runs test
//! programs in the order of their names). A documented operation that no test calls fails here.

use std::time::UNIX_EPOCH;

#[test]
fn every_documented_operation_was_called() {
    #[expect(clippy::disallowed_methods, reason = "the tests' own setting, none of the service's")]
    let on_postgres = std::env::var("TEST_DATABASE_URL").is_ok_and(|url| !url.is_empty());
    let engine = if on_postgres { "postgres" } else { "sqlite" };
    let path = format!("{}/operations-{engine}", env!("CARGO_TARGET_TMPDIR"));
    let list = std::fs::read_to_string(path).expect("run all of `cargo test --test api` first");
    let (head, called) = list.split_once('\n').expect("a first line");
    let (built, suite) = head.split_once(' ').expect("when and what");
    let now = std::fs::metadata(suite).and_then(|file| file.modified()).expect("the suite is there");
    let now = now.duration_since(UNIX_EPOCH).expect("after 1970").as_nanos().to_string();
    assert_eq!(built, now, "the suite was built anew: run all of `cargo test --test api` first");

    let called: Vec<_> = called.lines().collect();
    let document = gemini_backend::serve::document("/");
    let paths = document["paths"].as_object().expect("paths");
    let documented = paths.iter().flat_map(|(path, item)| {
        let methods = ["get", "put", "post", "delete", "patch"].into_iter();
        methods.filter(|method| item.get(method).is_some()).map(move |method| format!("{method} {path}"))
    });
    let never: Vec<_> = documented.filter(|operation| !called.contains(&operation.as_str())).collect();
    assert!(never.is_empty(), "no test calls {never:#?}");
}
