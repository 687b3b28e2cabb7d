//! One-time codes: made from a random nonce under a key, so that what is stored tells nothing and the same code can be
//! sent again.

use subtle::ConstantTimeEq;

use super::mac;

/// From the system's random numbers; stored in place of the code.
pub type Nonce = String;

/// Makes and checks codes of six digits.
pub struct Codes(Vec<[u8; 32]>);

impl std::fmt::Debug for Codes {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Codes")
    }
}

impl Codes {
    pub(super) const fn new(keys: Vec<[u8; 32]>) -> Self {
        Self(keys)
    }

    #[must_use]
    pub fn nonce() -> Nonce {
        let mut random = [0; 32];
        getrandom::fill(&mut random).expect("the system's random numbers are there as long as it runs");
        hex::encode(random)
    }

    /// The code of a nonce, for one number and one purpose.
    #[must_use]
    pub fn code(&self, nonce: &str, mobile: &str, purpose: &str) -> String {
        digits(&self.0[0], nonce, mobile, purpose)
    }

    /// Whether `tried` is that code, in a time that does not depend on how much of it is right.
    #[must_use]
    pub fn is_right(&self, nonce: &str, mobile: &str, purpose: &str, tried: &str) -> bool {
        self.0.iter().any(|key| digits(key, nonce, mobile, purpose).as_bytes().ct_eq(tried.as_bytes()).into())
    }
}

fn digits(key: &[u8; 32], nonce: &str, mobile: &str, purpose: &str) -> String {
    let mac = mac(key, &[nonce.as_bytes(), mobile.as_bytes(), purpose.as_bytes()]);
    let (head, _) = mac.split_first_chunk().expect("32 bytes are more than 16");
    // 128 bits over a million codes: none is likelier than another by more than one part in 10^32.
    format!("{:06}", u128::from_be_bytes(*head) % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_six_digits_bound_to_number_and_purpose() {
        let codes = Codes::new(vec![[1; 32]]);
        let nonce = Codes::nonce();
        let code = codes.code(&nonce, "+919876543210", "login");
        assert!(code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()), "{code}");
        assert!(codes.is_right(&nonce, "+919876543210", "login", &code));
        let others = |purpose: &str| (0..20).filter(|n| codes.is_right(&nonce, &n.to_string(), purpose, &code)).count();
        assert!(others("login") < 2);
        assert!((0..20).filter(|n| codes.is_right(&nonce, "+919876543210", &n.to_string(), &code)).count() < 2);
        assert!((0..20).filter(|_| codes.is_right(&Codes::nonce(), "+919876543210", "login", &code)).count() < 2);
        assert!(!Codes::new(vec![[2; 32]]).is_right(&nonce, "+919876543210", "login", &code) || code == "000000");
        assert!(Codes::new(vec![[2; 32], [1; 32]]).is_right(&nonce, "+919876543210", "login", &code));
    }

    #[test]
    fn codes_are_spread_evenly() {
        let codes = Codes::new(vec![[3; 32]]);
        let mut by_first_digit = [0_u32; 10];
        for n in 0..10_000 {
            let code = codes.code(&n.to_string(), "1", "login");
            by_first_digit[usize::from(code.as_bytes()[0] - b'0')] += 1;
        }
        assert!(by_first_digit.iter().all(|count| (850..1150).contains(count)), "{by_first_digit:?}");
    }
}
