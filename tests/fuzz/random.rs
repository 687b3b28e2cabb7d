//! Numbers that a seed repeats (`SplitMix64`).

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};

#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn any_seed() -> u64 {
        RandomState::new().hash_one(0) % 1_000_000
    }

    /// The numbers of one case: the same whatever ran before it.
    pub(crate) fn of(seed: u64, name: &str, case: u64) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, name, case).hash(&mut hasher);
        Self(hasher.finish())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).expect("a number")).expect("below a usize")
    }

    pub(crate) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub(crate) fn pick<'t, T>(&mut self, choices: &'t [T]) -> &'t T {
        &choices[self.below(choices.len())]
    }

    pub(crate) fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + u8::try_from(self.below(10)).expect("a digit"))).collect()
    }

    /// Text of any script.
    pub(crate) fn text(&mut self, length: usize) -> String {
        const LETTERS: [char; 16] =
            ['a', 'Z', '0', ' ', '.', '-', '_', '\'', '"', '\\', '<', 'ä', 'न', '中', '😀', '\u{202e}'];
        (0..length).map(|_| *self.pick(&LETTERS)).collect()
    }

    /// Up to a few letters of any script, of every length in UTF-8, some of which belong together.
    pub(crate) fn letters(&mut self) -> String {
        const LETTERS: [&str; 8] = ["a", " ", "\n", "ä", "नमस्ते", "你好", "👩‍👩‍👧", "\u{202e}"];
        (0..=self.below(4)).map(|_| *self.pick(&LETTERS)).collect()
    }
}
