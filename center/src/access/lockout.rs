//! Wrong passwords are counted where they come from, never for the account as a whole: nobody can lock somebody else out
//! from another address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use super::AccessError;
use crate::clock::Millis;

/// Wrong tries of one account from one address before it has to wait.
const FREE_TRIES: u32 = 5;
/// Wrong tries of all accounts from one address before it has to wait.
const FREE_TRIES_OF_ADDRESS: u32 = 50;
/// The first wait; it doubles with each further wrong try.
const WAIT: Millis = Millis::seconds(10);
/// The longest wait, and the time after which tries are forgotten.
const WAIT_MAX: Millis = Millis::minutes(15);
/// Most counts that are kept: 10,000 addresses with a few accounts each.
const COUNTS: usize = 50_000;
/// Longest name of an account.
const NAME_MAX: usize = 64;

/// Whose wrong tries: of an account from an address, or of an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Origin {
    address: IpAddr,
    account: Option<String>,
}

#[derive(Debug)]
struct Tries {
    wrong: u32,
    last: Millis,
    until: Millis,
}

/// The wrong tries of late.
#[derive(Debug, Default)]
pub(super) struct Lockout {
    tries: HashMap<Origin, Tries>,
}

impl Lockout {
    /// Whether somebody at this address may try the account now. It counts as a wrong try until [`Lockout::succeeded`]
    /// takes it back: many tries at the same time are many tries.
    pub(super) fn admit(&mut self, account: &str, address: IpAddr, now: Millis) -> Result<(), AccessError> {
        let origins = origins(account, address);
        let waits = origins.iter().filter_map(|origin| self.tries.get(origin)?.wait(now)).max();
        if let Some(wait) = waits {
            let seconds = u64::try_from(wait.0).unwrap_or_default().div_ceil(1000);
            return Err(AccessError::TooManyTries { seconds });
        }
        if self.tries.len() >= COUNTS {
            self.tries.retain(|_, tries| now <= tries.last + WAIT_MAX);
        }
        if self.tries.len() >= COUNTS {
            // A flood from everywhere. What is forgotten here has to be earned again by as many tries.
            self.tries.clear();
        }
        for (origin, free) in origins.into_iter().zip([FREE_TRIES, FREE_TRIES_OF_ADDRESS]) {
            let tries = self.tries.entry(origin).or_insert(Tries { wrong: 0, last: now, until: now });
            if now > tries.last + WAIT_MAX {
                tries.wrong = 0;
            }
            tries.wrong = tries.wrong.saturating_add(1);
            tries.last = now;
            if let Some(over) = tries.wrong.checked_sub(free) {
                let wait = WAIT.0.saturating_mul(1 << over.min(10));
                tries.until = now + Millis(wait.min(WAIT_MAX.0));
            }
        }
        Ok(())
    }

    /// The try was right: the account's count at this address begins anew.
    pub(super) fn succeeded(&mut self, account: &str, address: IpAddr) {
        let [of_account, of_address] = origins(account, address);
        self.tries.remove(&of_account);
        if let Some(tries) = self.tries.get_mut(&of_address) {
            tries.wrong = tries.wrong.saturating_sub(1);
            tries.until = tries.last;
        }
    }
}

impl Tries {
    fn wait(&self, now: Millis) -> Option<Millis> {
        // A clock that was set back does not make the wait longer than it was.
        (now < self.until && now >= self.last).then(|| self.until - now)
    }
}

fn origins(account: &str, address: IpAddr) -> [Origin; 2] {
    let address = network(address);
    let account = account.chars().take(NAME_MAX).collect();
    [Origin { address, account: Some(account) }, Origin { address, account: None }]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn wrong_tries_lock_their_own_address_and_nobody_else() {
        let (mut lockout, thief, owner) = (Lockout::default(), ip("10.0.0.1"), ip("10.0.0.2"));
        for second in 0..5 {
            lockout.admit("admin", thief, Millis::seconds(second)).unwrap();
        }
        let error = lockout.admit("admin", thief, Millis::seconds(5)).unwrap_err();
        assert!(matches!(error, AccessError::TooManyTries { seconds: 9 }), "{error}");
        lockout.admit("admin", owner, Millis::seconds(5)).unwrap();
        lockout.admit("other", thief, Millis::seconds(5)).unwrap();
        lockout.admit("admin", thief, Millis::seconds(14)).unwrap();
        let error = lockout.admit("admin", thief, Millis::seconds(14)).unwrap_err();
        assert!(matches!(error, AccessError::TooManyTries { seconds: 20 }), "the wait doubles: {error}");
        lockout.admit("admin", thief, Millis::seconds(14) + WAIT_MAX).unwrap();
    }

    #[test]
    fn an_address_that_tries_many_accounts_has_to_wait_with_all_of_them() {
        let mut lockout = Lockout::default();
        for number in 0..FREE_TRIES_OF_ADDRESS {
            lockout.admit(&format!("name{number}"), ip("2001:db8::1"), Millis(0)).unwrap();
        }
        assert!(lockout.admit("fresh", ip("2001:db8::2"), Millis(1)).is_err(), "the same network");
        lockout.admit("fresh", ip("2001:db8:0:1::1"), Millis(1)).unwrap();
    }

    #[test]
    fn a_right_password_ends_the_count() {
        let (mut lockout, address) = (Lockout::default(), ip("10.0.0.1"));
        for _ in 0..3 * FREE_TRIES_OF_ADDRESS {
            lockout.admit("admin", address, Millis(0)).unwrap();
            lockout.succeeded("admin", address);
        }
        for _ in 0..FREE_TRIES {
            lockout.admit("admin", address, Millis(0)).unwrap();
        }
        assert!(lockout.admit("admin", address, Millis(0)).is_err());
    }
}
