//! Lists: newest first, by cursors. <https://docs.stripe.com/api/pagination>

use serde_json::{Value, json};

use super::error::{Fault, Refusal};
use super::form::Form;
use super::world::{Object, World};

const PAGING: [&str; 3] = ["limit", "starting_after", "ending_before"];

/// The names that a list's own ones stand beside.
pub(super) fn with<'a>(own: &[&'a str]) -> Vec<&'a str> {
    own.iter().copied().chain(PAGING).collect()
}

/// One page of the objects that `fits` takes, and whose `created` is as asked.
pub(super) fn of<T: Object>(
    world: &World,
    form: &Form<'_>,
    url: &str,
    fits: impl Fn(&T) -> bool,
) -> Result<Value, Refusal> {
    let (shelf, within) = (T::shelf(world), Within::read(form, "created")?);
    let rows = shelf.placed().rev().filter(|(_, object)| fits(object) && within.holds(object.created()));
    let place = |id: &str, param: &str| shelf.place(id).ok_or_else(|| Fault::no_such(T::KIND, id, param));
    page(form, url, rows.collect(), place, |object| object.view())
}

/// One page of what was rendered already.
pub(super) fn of_views(form: &Form<'_>, url: &str, views: &[Value]) -> Result<Value, Refusal> {
    let place = |id: &str, param: &str| {
        let found = views.iter().position(|view| view["id"] == id);
        found.ok_or_else(|| Fault::no_such("object", id, param))
    };
    page(form, url, views.iter().enumerate().rev().collect(), place, |view| (*view).clone())
}

/// The rows come newest first; what is newer has the greater place.
fn page<T>(
    form: &Form<'_>,
    url: &str,
    rows: Vec<(usize, T)>,
    place: impl Fn(&str, &str) -> Result<usize, Refusal>,
    show: impl Fn(&T) -> Value,
) -> Result<Value, Refusal> {
    let cursor = |name: &str| form.text(name)?.map(|id| place(&id, name)).transpose();
    let limit = match form.integer("limit")? {
        None => 10,
        Some(limit @ 1..=100) => usize::try_from(limit).unwrap_or(100),
        Some(_) => return Err(Fault::invalid("limit must be between 1 and 100").param("limit")),
    };
    let (kept, has_more): (Vec<T>, bool) = match (cursor("starting_after")?, cursor("ending_before")?) {
        (Some(_), Some(_)) => {
            return Err(Fault::invalid("You may not specify both starting_after and ending_before"));
        }
        (None, Some(before)) => {
            let mut newer: Vec<T> = rows.into_iter().take_while(|(at, _)| *at > before).map(|(_, row)| row).collect();
            let beyond = newer.len().saturating_sub(limit);
            newer.drain(..beyond);
            (newer, beyond > 0)
        }
        (after, None) => {
            let mut older =
                rows.into_iter().filter(|(at, _)| after.is_none_or(|after| *at < after)).map(|(_, row)| row);
            (older.by_ref().take(limit).collect(), older.next().is_some())
        }
    };
    let views: Vec<Value> = kept.iter().map(show).collect();
    Ok(json!({"object": "list", "data": views, "has_more": has_more, "url": url}))
}

/// A comparison of times: `created=5`, `created[gte]=5&created[lt]=9`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Within {
    least: i64,
    most: i64,
}

impl Within {
    pub(super) fn read(form: &Form<'_>, name: &str) -> Result<Self, Refusal> {
        let mut within = Self { least: i64::MIN, most: i64::MAX };
        if !form.is_nested(name) {
            if let Some(exactly) = form.integer(name)? {
                within = Self { least: exactly, most: exactly };
            }
            return Ok(within);
        }
        let Some(range) = form.below(name, &["gt", "gte", "lt", "lte"])? else { return Ok(within) };
        for (name, step) in [("gt", 1), ("gte", 0)] {
            let least = range.integer(name)?.map(|at| at.saturating_add(step));
            within.least = within.least.max(least.unwrap_or(i64::MIN));
        }
        for (name, step) in [("lt", 1), ("lte", 0)] {
            let most = range.integer(name)?.map(|at| at.saturating_sub(step));
            within.most = within.most.min(most.unwrap_or(i64::MAX));
        }
        Ok(within)
    }

    pub(super) fn holds(self, at: i64) -> bool {
        self.least <= at && at <= self.most
    }
}

/// A list inside an object.
pub(super) fn whole(url: &str, views: &[Value]) -> Value {
    json!({"object": "list", "data": views, "has_more": false, "url": url})
}
