//! Wrong passwords are counted where they come from, never for the account as a whole: nobody can lock somebody else out
//! from another address. The counts are in the database: they hold at every center of it, and over a restart.

use std::net::{IpAddr, Ipv6Addr};

use super::{Access, AccessError};
use crate::clock::Millis;
use crate::rules::AccountName;
use crate::store::SignInTries;

/// Wrong tries of one account from one address before it has to wait.
const FREE_TRIES: u32 = 5;
/// Wrong tries of all accounts from one address before it has to wait.
const FREE_TRIES_OF_ADDRESS: u32 = 50;
/// The first wait; it doubles with each further wrong try.
const WAIT: Millis = Millis::seconds(10);
/// The longest wait, and the time after which tries are forgotten.
const WAIT_MAX: Millis = Millis::minutes(15);
/// Most counts that are kept: 10,000 addresses with a few accounts each.
const COUNTS: i64 = 50_000;

/// Where tries come from, each with its free tries: an account at an address, and the address.
fn origins(account: &str, address: IpAddr) -> [(String, u32); 2] {
    let address = network(address);
    // Names that no account can have are one.
    let account = AccountName::new(account).map_or_else(|_| "?".to_owned(), |name| name.to_string());
    [(format!("{address} {account}"), FREE_TRIES), (address.to_string(), FREE_TRIES_OF_ADDRESS)]
}

/// One household has 2^64 addresses of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

impl SignInTries {
    fn wait(&self, now: Millis) -> Option<Millis> {
        // A clock that was set back does not make the wait longer than it was.
        (now < self.until && now >= self.last).then(|| self.until - now)
    }

    /// One wrong try more, of an origin that has so many free ones.
    fn counted(before: Option<Self>, free: u32, now: Millis) -> Self {
        let before = before.filter(|tries| now <= tries.last + WAIT_MAX);
        let mut tries = before.unwrap_or(Self { wrong: 0, last: now, until: now });
        tries.wrong = tries.wrong.saturating_add(1);
        tries.last = now;
        if let Some(over) = tries.wrong.checked_sub(free) {
            let wait = WAIT.0.saturating_mul(1 << over.min(10));
            tries.until = now + Millis(wait.min(WAIT_MAX.0));
        }
        tries
    }
}

fn check(found: Option<SignInTries>, now: Millis) -> Result<Option<SignInTries>, AccessError> {
    match found.and_then(|tries| tries.wait(now)) {
        None => Ok(found),
        Some(wait) => {
            let seconds = u64::try_from(wait.0).unwrap_or_default().div_ceil(1000);
            Err(AccessError::TooManyTries { seconds })
        }
    }
}

impl Access {
    /// Whether somebody at this address may try the account now. It counts as a wrong try until [`Access::tried_well`] takes it
    /// back: many tries at the same time are many tries.
    pub(super) async fn admit(&self, account: &str, address: IpAddr) -> Result<(), AccessError> {
        let (origins, now) = (origins(account, address), self.now());
        let mut reader = self.0.store.read().await?;
        // Whoever has to wait writes nothing.
        for (origin, _) in &origins {
            check(reader.sign_in_tries(origin).await?, now)?;
        }
        drop(reader);
        let mut writer = self.0.store.write().await?;
        writer.lock_sign_in_tries().await?;
        for (origin, free) in &origins {
            let before = check(writer.sign_in_tries(origin).await?, now)?;
            writer.save_sign_in_tries(origin, SignInTries::counted(before, *free, now)).await?;
        }
        // In a flood from everywhere the oldest counts are forgotten: they have to be earned again by as many tries.
        writer.prune_sign_in_tries(now - WAIT_MAX, COUNTS).await?;
        Ok(writer.commit().await?)
    }

    /// The try was right: the account's count at this address begins anew.
    pub(super) async fn tried_well(&self, account: &str, address: IpAddr) -> Result<(), AccessError> {
        let [(of_account, _), (of_address, _)] = origins(account, address);
        let mut writer = self.0.store.write().await?;
        writer.lock_sign_in_tries().await?;
        writer.forget_sign_in_tries(&of_account).await?;
        if let Some(mut tries) = writer.sign_in_tries(&of_address).await? {
            tries.wrong = tries.wrong.saturating_sub(1);
            tries.until = tries.last;
            writer.save_sign_in_tries(&of_address, tries).await?;
        }
        Ok(writer.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::Store;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Two centers on one database.
    async fn two_centers() -> (Access, Access, Clock) {
        let (store, clock) = (Store::in_memory().await.unwrap(), Clock::manual(Millis(1_700_000_000_000)));
        let center = |name| Access::new(store.clone(), clock.clone(), name, None);
        (center("a"), center("b"), clock)
    }

    fn seconds(refused: Result<(), AccessError>) -> u64 {
        match refused {
            Err(AccessError::TooManyTries { seconds }) => seconds,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn wrong_tries_lock_their_own_address_at_every_center_and_nobody_else() {
        let (a, b, clock) = two_centers().await;
        let (thief, owner) = (ip("10.0.0.1"), ip("10.0.0.2"));
        for center in [&a, &b, &a, &b, &a] {
            center.admit("admin", thief).await.unwrap();
        }
        assert_eq!(seconds(b.admit("admin", thief).await), 10);
        b.admit("admin", owner).await.unwrap();
        b.admit("other", thief).await.unwrap();
        clock.advance(Millis::seconds(10));
        a.admit("admin", thief).await.unwrap();
        assert_eq!(seconds(b.admit("admin", thief).await), 20, "the wait doubles");
        clock.advance(Millis::seconds(21) + WAIT_MAX);
        a.admit("admin", thief).await.unwrap();
    }

    #[tokio::test]
    async fn an_address_that_tries_many_accounts_has_to_wait_with_all_of_them() {
        let (a, b, _) = two_centers().await;
        for number in 0..FREE_TRIES_OF_ADDRESS {
            a.admit(&format!("name{number}"), ip("2001:db8::1")).await.unwrap();
        }
        assert!(b.admit("fresh", ip("2001:db8::2")).await.is_err(), "the same network");
        b.admit("fresh", ip("2001:db8:0:1::1")).await.unwrap();
    }

    #[tokio::test]
    async fn a_right_password_ends_the_count() {
        let (a, b, _) = two_centers().await;
        let address = ip("10.0.0.1");
        for _ in 0..3 * FREE_TRIES_OF_ADDRESS {
            a.admit("admin", address).await.unwrap();
            b.tried_well("admin", address).await.unwrap();
        }
        for _ in 0..FREE_TRIES {
            a.admit("admin", address).await.unwrap();
        }
        assert!(b.admit("admin", address).await.is_err());
    }

    #[tokio::test]
    async fn names_that_no_account_can_have_are_counted_as_one() {
        let (a, ..) = two_centers().await;
        for name in ["\0", "Ä", "a b", &"x".repeat(100_000), ""] {
            a.admit(name, ip("10.0.0.1")).await.unwrap();
        }
        assert!(a.admit("\u{202e}", ip("10.0.0.1")).await.is_err());
    }
}
