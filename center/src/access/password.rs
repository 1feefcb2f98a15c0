//! Passwords: Argon2id, hashed on threads that may block, a few at a time.

use std::sync::OnceLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::AccessError;

/// Hashes at the same time: each takes 19 MB and some tens of milliseconds of a core.
const AT_ONCE: usize = 2;
/// Shortest password that somebody may choose.
const SHORTEST: usize = 10;
/// Longest one: nobody types more, and every byte is hashed.
const LONGEST: usize = 256;
/// Letters of a one-time password: none that is read as another.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";

/// Hashes and checks passwords.
pub(super) struct Passwords {
    places: Semaphore,
    /// Checked when there is no such account, so that the time taken does not tell.
    nobody: OnceLock<String>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { places: Semaphore::new(AT_ONCE), nobody: OnceLock::new() }
    }
}

impl Passwords {
    /// The password in PHC form, with a salt of its own.
    pub(super) async fn hash(&self, password: &str) -> Result<String, AccessError> {
        let password = password.to_owned();
        self.blocking(move || hash(&password)).await?
    }

    /// Whether the password is the one that was hashed; without a hash it never is, after the same work.
    pub(super) async fn verify(&self, password: &str, hashed: Option<&str>) -> Result<bool, AccessError> {
        let is_somebody = hashed.is_some();
        let hashed = match hashed {
            Some(hashed) => hashed.to_owned(),
            None => match self.nobody.get() {
                Some(nobody) => nobody.clone(),
                None => {
                    let nobody = self.hash(&one_time()).await?;
                    self.nobody.get_or_init(|| nobody).clone()
                }
            },
        };
        if password.len() > LONGEST {
            return Ok(false);
        }
        let password = password.to_owned();
        let right = self
            .blocking(move || {
                let hashed = PasswordHash::new(&hashed).map_err(|error| error.to_string())?;
                Ok(Argon2::default().verify_password(password.as_bytes(), &hashed).is_ok())
            })
            .await?;
        right.map(|right| right && is_somebody).map_err(AccessError::Passwords)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AccessError> {
        // The semaphore is never closed.
        let _place =
            self.places.acquire().await.map_err(|error| AccessError::Passwords(error.to_string()))?;
        spawn_blocking(work).await.map_err(|error| AccessError::Passwords(error.to_string()))
    }
}

fn hash(password: &str) -> Result<String, AccessError> {
    let hashed = Argon2::default().hash_password(password.as_bytes());
    hashed.map(|hashed| hashed.to_string()).map_err(|error| AccessError::Passwords(error.to_string()))
}

/// A password to be used once: 20 letters and digits of 32, in groups of five.
pub(super) fn one_time() -> String {
    let letters: Vec<u8> =
        rand::random::<[u8; 20]>().iter().map(|byte| ALPHABET[usize::from(byte % 32)]).collect();
    let groups: Vec<_> = letters.chunks(5).map(String::from_utf8_lossy).collect();
    groups.join("-")
}

/// Whether somebody may choose this password.
pub(super) fn check(name: &str, password: &str) -> Result<(), AccessError> {
    if password.chars().count() < SHORTEST {
        return Err(AccessError::WeakPassword("10 characters or more"));
    }
    if password.len() > LONGEST {
        return Err(AccessError::WeakPassword("256 bytes or less"));
    }
    if password.to_lowercase().contains(&name.to_lowercase()) && name.len() >= 4 {
        return Err(AccessError::WeakPassword("it must not contain the account's name"));
    }
    let first = password.chars().next();
    if password.chars().all(|c| Some(c) == first) {
        return Err(AccessError::WeakPassword("not one character again and again"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_is_right_and_nobody_has_one() {
        let passwords = Passwords::default();
        let hashed = passwords.hash("correct horse").await.unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert!(passwords.verify("correct horse", Some(&hashed)).await.unwrap());
        assert!(!passwords.verify("correct horsf", Some(&hashed)).await.unwrap());
        assert!(!passwords.verify("correct horse", None).await.unwrap());
        assert_ne!(hashed, passwords.hash("correct horse").await.unwrap(), "each has its own salt");
    }

    #[test]
    fn a_chosen_password_is_no_short_or_simple_one() {
        for weak in ["short", "aaaaaaaaaaaa", "my-admin-word"] {
            assert!(check("admin", weak).is_err(), "{weak}");
        }
        check("admin", "correct horse").unwrap();
        check("admin", &one_time()).unwrap();
    }
}
