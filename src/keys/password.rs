//! Passwords: argon2id with OWASP's parameters, off the async threads and only a few at a time, for each takes 19 MiB.
//! That memory is kept and used again: given back each time, the allocator would hold on to many times as much.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::Semaphore;

/// <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// A hash of no password: who has none takes as long to be refused as who has one.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlz$Zm9yIG5vdGhpbmcgaGFzaGVzIHRvIHRoaXMsIGV2ZXI";

/// Hashes and checks, at most one per core at once.
#[derive(Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    hashed: AtomicU64,
    /// The memory of those who are not at it.
    spare: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { turns: Arc::new(Semaphore::new(cores)), hashed: AtomicU64::default(), spare: Arc::default() }
    }

    /// How many passwords were hashed or checked since the start.
    #[must_use]
    pub fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    /// The hash to store, in PHC format.
    pub async fn hash(&self, password: String) -> String {
        self.apart(move |memory| {
            let salt = Salt::generate();
            let argon2 = argon2();
            let hash = digest(&argon2, memory, password.as_bytes(), &salt);
            let params = argon2.params().try_into().expect("the parameters are right");
            let version = Some(Version::V0x13.into());
            let algorithm = Algorithm::Argon2id.ident();
            PasswordHash { algorithm, version, params, salt: Some(salt), hash }.to_string()
        })
        .await
    }

    /// Whether a password fits a stored hash. Without a hash it takes the same time and fits never.
    pub async fn fits(&self, password: String, hash: Option<String>) -> bool {
        self.apart(move |memory| {
            let stored = hash.as_deref().and_then(|hash| PasswordHash::new(hash).ok());
            let is_somebodys = stored.is_some();
            let stored = stored.unwrap_or_else(|| PasswordHash::new(NOBODY).expect("a hash written above"));
            let Some(salt) = stored.salt else { return false };
            let params = Params::try_from(&stored).unwrap_or_else(|_| argon2().params().clone());
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            // Compared in constant time.
            let fits = stored.hash.is_some() && digest(&argon2, memory, password.as_bytes(), &salt) == stored.hash;
            fits && is_somebodys
        })
        .await
    }

    async fn apart<T: Send + 'static>(&self, work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static) -> T {
        let turn = Arc::clone(&self.turns).acquire_owned().await.expect("the semaphore is never closed");
        self.hashed.fetch_add(1, Ordering::Relaxed);
        let spare = Arc::clone(&self.spare);
        let work = move || {
            // Held until the work is done, even when nobody waits for it any more.
            let _turn = turn;
            let lock = || spare.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memory = lock().pop().unwrap_or_default();
            let done = work(&mut memory);
            lock().push(memory);
            done
        };
        tokio::task::spawn_blocking(work).await.expect("hashing does not panic")
    }
}

/// None only for parameters that argon2 itself refuses.
fn digest(argon2: &Argon2<'_>, memory: &mut Vec<Block>, password: &[u8], salt: &Salt) -> Option<Output> {
    memory.resize(argon2.params().block_count(), Block::default());
    let mut hash = [0; Params::DEFAULT_OUTPUT_LEN];
    argon2.hash_password_into_with_memory(password, salt, &mut hash, memory.as_mut_slice()).ok()?;
    Output::new(&hash).ok()
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("parameters within their bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only_and_nobodys_never() {
        let passwords = Passwords::new();
        let hash = passwords.hash("secretKey2".into()).await;
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.fits("secretKey2".into(), Some(hash.clone())).await);
        assert!(!passwords.fits("secretKey3".into(), Some(hash.clone())).await);
        assert!(!passwords.fits("secretKey2".into(), None).await);
        assert_ne!(hash, passwords.hash("secretKey2".into()).await);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn others_go_on_while_a_password_is_hashed() {
        let passwords = Passwords::new();
        let stored = passwords.hash("secretKey2".into()).await;
        let work = async {
            passwords.hash("secretKey3".into()).await;
            passwords.fits("secretKey2".into(), Some(stored)).await
        };
        tokio::pin!(work);
        let mut ticks = 0_u32;
        let fits = loop {
            tokio::select! {
                biased;
                fits = &mut work => break fits,
                () = tokio::task::yield_now() => ticks += 1,
            }
        };
        // A hash takes as long as thousands of turns; on this thread it would take one.
        assert!(fits && ticks > 10, "{ticks} turns of others");
    }

    #[test]
    fn refusing_nobody_costs_what_refusing_somebody_costs() {
        let stored = PasswordHash::new(NOBODY).expect("a readable hash");
        assert_eq!(stored.hash.expect("it has a hash").len(), 32);
        let params = Params::try_from(&stored).expect("its parameters");
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (MEMORY_KIB, PASSES, LANES));
    }
}
