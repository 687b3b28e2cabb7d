//! Objects of one kind in the order they were made, found by their ids. Bounded: the oldest go.

use std::collections::{HashMap, VecDeque};

/// So many of a kind are kept; a sandbox is no archive.
const MOST: usize = 50_000;

/// What stands on a [`Shelf`].
pub(super) trait Kept {
    fn id(&self) -> &str;
    fn created(&self) -> i64;
}

#[derive(Debug)]
pub(super) struct Shelf<T> {
    items: VecDeque<T>,
    /// How many have gone from the front.
    gone: usize,
    places: HashMap<String, usize>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), gone: 0, places: HashMap::new() }
    }
}

impl<T: Kept> Shelf<T> {
    pub(super) fn add(&mut self, item: T) {
        self.places.insert(item.id().to_owned(), self.gone + self.items.len());
        self.items.push_back(item);
        if self.items.len() > MOST {
            self.drop_oldest();
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.items.get(self.places.get(id)?.checked_sub(self.gone)?)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.items.get_mut(self.places.get(id)?.checked_sub(self.gone)?)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.items.iter()
    }

    /// Each with its place, which only grows: oldest first.
    pub(super) fn placed(&self) -> impl DoubleEndedIterator<Item = (usize, &T)> {
        self.items.iter().enumerate().map(|(at, item)| (self.gone + at, item))
    }

    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }

    pub(super) fn drop_oldest(&mut self) {
        if let Some(oldest) = self.items.pop_front() {
            self.places.remove(oldest.id());
            self.gone += 1;
        }
    }

    /// Takes one away; those behind it move up.
    pub(super) fn remove(&mut self, id: &str) -> Option<T> {
        let at = self.places.remove(id)?;
        let item = self.items.remove(at.checked_sub(self.gone)?)?;
        self.places.values_mut().filter(|place| **place > at).for_each(|place| *place -= 1);
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing {
        id: String,
        created: i64,
    }
    impl Kept for Thing {
        fn id(&self) -> &str {
            &self.id
        }
        fn created(&self) -> i64 {
            self.created
        }
    }

    fn thing(at: usize) -> Thing {
        Thing { id: format!("t{at}"), created: 0 }
    }

    #[test]
    fn the_oldest_go_and_the_others_are_found() {
        let mut shelf = Shelf::default();
        (0..MOST + 2).for_each(|at| shelf.add(thing(at)));
        assert!(shelf.get("t0").is_none() && shelf.get("t1").is_none());
        assert_eq!(shelf.get("t2").map(|thing| thing.id.as_str()), Some("t2"));
        assert_eq!(shelf.iter().next_back().map(Thing::id), Some(format!("t{}", MOST + 1)).as_deref());
        assert!(shelf.remove("t3").is_some() && shelf.get("t3").is_none() && shelf.remove("t3").is_none());
        assert_eq!(shelf.get_mut("t4").map(|thing| thing.id.clone()).as_deref(), Some("t4"));
        assert_eq!(shelf.iter().count(), MOST - 1);
    }
}
