//! Ids with Stripe's prefixes. Random, because who stored those of an earlier sandbox must not meet them again.

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 24;

/// `cus_` and 24 letters.
pub(super) fn fresh(prefix: &str) -> String {
    let mut random = [0_u8; LENGTH];
    getrandom::fill(&mut random).expect("the system's random numbers are there as long as it runs");
    let letters = random.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    prefix.chars().chain(letters).collect()
}
