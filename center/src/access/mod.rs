//! Who asks: accounts with passwords, sessions of browsers, bearer tokens; and what each of them may do.
//!
//! # For the pages
//!
//! [`Access`] is cheap to clone; keep one in the router's state and let it be taken out by
//! `impl FromRef<YourState> for Access`. Then a handler can ask for:
//!
//! - [`Session`]: a browser that signed in. `session.principal` says who they are and what they may do,
//!   `session.csrf` is the token that every form and every changing request must bring back, and
//!   `session.must_change_password` is set until a one-time password was changed. `Option<Session>` is none for a
//!   stranger; as an extractor of its own, a stranger gets 401 (map it to a redirect with
//!   `Result<Session, AccessError>`).
//! - [`Principal`]: whoever may use the API, by bearer token or by cookie. For a cookie and a method that changes
//!   something the header `X-CSRF-Token` is needed; a form that sends it as a field `csrf` is checked by
//!   [`Session::check_csrf`] instead, after the body was read.
//!
//! A sign-in form does:
//!
//! ```ignore
//! async fn sign_in(State(access): State<Access>, peer: Peer, Form(form): Form<SignIn>) -> Response {
//!     match access.sign_in(&form.name, &form.password, peer.address).await {
//!         Ok(session) => ([(SET_COOKIE, session.cookie(peer.secure))], Redirect::to("/")).into_response(),
//!         // Its text is made for the person: wrong password, or how long to wait.
//!         Err(error) => sign_in_page(error.to_string(), error.status()),
//!     }
//! }
//! ```
//!
//! and a sign-out form [`Access::sign_out`], then [`Session::no_cookie`]. A new password is [`Access::change_password`],
//! which ends all sessions of the account and begins a new one.
//! Every change goes into the audit log: [`Access::audit`] before it, [`Audited::ended`] after it.
//! [`Principal::require`] and [`Principal::require_product`] say whether they may do a thing, as [`AccessError`].

mod audit;
mod error;
mod extract;
mod lockout;
mod password;
mod principal;
pub mod single_sign_on;
mod token;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::http::{HeaderMap, Method, header};
use sha2::{Digest, Sha256};

use crate::clock::{Clock, Millis};
use crate::rules::AccountName;
use crate::store::{Account, Grant, NewAccount, Store};

pub use crate::rules::access::{DeviceName, ProductScope, Role};
pub use audit::Audited;
pub use error::AccessError;
pub use principal::{Caller, EndUser, Principal, Session, Sort};
pub use token::NewSecret;

use password::Passwords;
pub use principal::COOKIE as SESSION_COOKIE;
use principal::cookie_of;
use single_sign_on::Provider;

/// A session without a request for this long is over.
const IDLE: Millis = Millis::hours(2);
/// A session is over this long after its sign-in, however much it is used.
const ABSOLUTE: Millis = Millis::hours(12);
/// Uses within this time are noted once.
const NOTED: Millis = Millis::minutes(1);
/// Name of the account that is made at the first start.
pub const FIRST_ACCOUNT: &str = "admin";

/// What uses a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Somebody who does something.
    Request,
    /// A page that keeps itself up to date, whether somebody looks at it or not.
    Stream,
}

impl Use {
    fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if accepted.contains("text/event-stream") { Use::Stream } else { Use::Request }
    }
}

/// Decides who asks. Clones share everything.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    /// Name of this center.
    center: String,
    /// Digest of the token in the file `token`, or given at the start.
    file_token: Option<[u8; 32]>,
    refusals: Mutex<Refusals>,
    passwords: Passwords,
    /// Where people may sign in by OpenID Connect.
    provider: OnceLock<Arc<Provider>>,
}

impl Access {
    /// Over the accounts in `store`, for the center of this name. `file_token` is the token of the data folder, an administrator's; none: there are
    /// only the accounts and tokens in the store.
    #[must_use]
    pub fn new(store: Store, clock: Clock, center: &str, file_token: Option<&str>) -> Self {
        let file_token = file_token.map(|token| Sha256::digest(token.as_bytes()).into());
        let (refusals, passwords) = (Mutex::default(), Passwords::default());
        let center = center.to_owned();
        let provider = OnceLock::new();
        Self(Arc::new(Inner { store, clock, center, file_token, refusals, passwords, provider }))
    }

    /// Makes the first account of all, [`FIRST_ACCOUNT`], an administrator; gives its one-time password. None: there are
    /// accounts already.
    ///
    /// # Errors
    /// The store's.
    pub async fn first_administrator(&self) -> Result<Option<String>, AccessError> {
        if self.0.store.read().await?.has_accounts().await? {
            return Ok(None);
        }
        let password = password::one_time();
        let hash = self.0.passwords.hash(&password).await?;
        let name = AccountName::new(FIRST_ACCOUNT)?;
        let new = NewAccount {
            name: &name,
            password: Some(&hash),
            role: Role::Administrator,
            products: &ProductScope::All,
            must_change: true,
            subject: None,
        };
        let mut writer = self.0.store.write().await?;
        let first = writer.create_first_account(&new, self.now()).await?;
        writer.commit().await?;
        Ok(first.then_some(password))
    }

    /// Signs somebody in who knows the password. Wrong tries count against the account at this address, and against the
    /// address: whoever tries from elsewhere is not held up by them.
    ///
    /// # Errors
    /// [`AccessError::WrongPassword`], also for an account that there is not; [`AccessError::TooManyTries`].
    pub async fn sign_in(&self, name: &str, password: &str, address: IpAddr) -> Result<Session, AccessError> {
        self.admit(name, address).await?;
        let account = match AccountName::new(name) {
            Ok(name) => self.0.store.read().await?.find_account(&name).await?,
            Err(_) => None,
        };
        let hash = account.as_ref().and_then(|account| account.password.as_deref());
        let right = self.0.passwords.verify(password, hash).await?;
        match account {
            Some(account) if right => {
                self.tried_well(name, address).await?;
                self.begin_session(account, address).await
            }
            _ => {
                tracing::warn!(%address, account = %log_name(name), "sign-in refused");
                Err(AccessError::WrongPassword)
            }
        }
    }

    /// A session of somebody who is known to be the account's owner.
    pub(crate) async fn begin_session(
        &self,
        account: Account,
        address: IpAddr,
    ) -> Result<Session, AccessError> {
        let now = self.now();
        let secret = token::random();
        let mut writer = self.0.store.write().await?;
        writer.forget_sessions(now - IDLE).await?;
        writer.begin_session(&token::digest(&secret), &account.name, &address.to_string(), now).await?;
        writer.commit().await?;
        let session = Session::of(&account, secret);
        self.note(&session.principal.to_string(), address, "sign in").await?;
        Ok(session)
    }

    /// The session of a browser that shows this value in its cookie; none: it is over, or never was. Its idle time begins
    /// anew.
    ///
    /// # Errors
    /// The store's.
    pub async fn session(&self, cookie: &str) -> Result<Option<Session>, AccessError> {
        self.session_used(cookie, Use::Request).await
    }

    /// The same of a page that looks by itself: its idle time goes on.
    ///
    /// # Errors
    /// The store's.
    pub async fn watched_session(&self, cookie: &str) -> Result<Option<Session>, AccessError> {
        self.session_used(cookie, Use::Stream).await
    }

    async fn session_used(&self, cookie: &str, by: Use) -> Result<Option<Session>, AccessError> {
        let digest = token::digest(cookie);
        let mut store = self.0.store.read().await?;
        let found = store.find_session(&digest).await?;
        store.done();
        let Some(found) = found else { return Ok(None) };
        let now = self.now();
        if now > found.seen + IDLE || now > found.begun + ABSOLUTE {
            return Ok(None);
        }
        if by == Use::Request && now > found.seen + NOTED {
            let store = self.0.store.clone();
            // Nobody waits for it, and a use that is not noted costs a minute of the idle time.
            tokio::spawn(async move {
                if let Ok(mut writer) = store.write().await
                    && writer.see_session(&digest, now).await.is_ok()
                {
                    let _ = writer.commit().await;
                }
            });
        }
        Ok(Some(Session::of(&found.account, cookie.to_owned())))
    }

    /// Ends the session of this cookie, as [`Session::secret`] has it.
    ///
    /// # Errors
    /// The store's.
    pub async fn sign_out(&self, cookie: &str) -> Result<(), AccessError> {
        let mut writer = self.0.store.write().await?;
        writer.end_session(&token::digest(cookie)).await?;
        Ok(writer.commit().await?)
    }

    /// Changes the own password of somebody who shows the one of before. Ends all their sessions and begins a new one.
    ///
    /// # Errors
    /// [`AccessError::WrongPassword`], [`AccessError::TooManyTries`], [`AccessError::WeakPassword`].
    pub async fn change_password(
        &self,
        name: &str,
        current: &str,
        new: &str,
        address: IpAddr,
    ) -> Result<Session, AccessError> {
        password::check(name, new)?;
        if current == new {
            return Err(AccessError::WeakPassword("it must differ from the one of before"));
        }
        self.sign_in(name, current, address).await?;
        let account = AccountName::new(name)?;
        let hash = self.0.passwords.hash(new).await?;
        let mut writer = self.0.store.write().await?;
        writer.set_password(&account, &hash, false).await?;
        let account = writer.account(&account).await?;
        writer.commit().await?;
        self.note(&maker(&account.name), address, "change the own password").await?;
        self.begin_session(account, address).await
    }

    /// Makes an account with a one-time password, which is given.
    ///
    /// # Errors
    /// The name is taken.
    pub async fn create_account(
        &self,
        name: &AccountName,
        role: Role,
        products: &ProductScope,
    ) -> Result<(Account, String), AccessError> {
        let password = password::one_time();
        let hash = self.0.passwords.hash(&password).await?;
        let new =
            NewAccount { name, password: Some(&hash), role, products, must_change: true, subject: None };
        let mut writer = self.0.store.write().await?;
        let account = writer.create_account(&new, self.now()).await?;
        writer.commit().await?;
        Ok((account, password))
    }

    /// Gives an account another one-time password and ends its sessions.
    ///
    /// # Errors
    /// There is no such account.
    pub async fn reset_password(&self, name: &AccountName) -> Result<String, AccessError> {
        let password = password::one_time();
        let hash = self.0.passwords.hash(&password).await?;
        let mut writer = self.0.store.write().await?;
        writer.set_password(name, &hash, true).await?;
        writer.commit().await?;
        Ok(password)
    }

    /// Changes role and products of an account. Tokens that it made and that allow more are revoked.
    ///
    /// # Errors
    /// There is no such account, or no administrator would be left.
    pub async fn edit_account(
        &self,
        name: &AccountName,
        role: Role,
        products: &ProductScope,
    ) -> Result<Account, AccessError> {
        let mut writer = self.0.store.write().await?;
        let account = writer.edit_account(name, role, products).await?;
        for token in writer.tokens_made_by(&maker(name)).await? {
            let goes_on = match &token.grant {
                Grant::Role { role: theirs, products: reach } => *theirs <= role && products.covers(reach),
                Grant::EndUser(devices) => {
                    role >= Role::Operator && devices.iter().all(|device| products.allows(&device.product))
                }
            };
            if !goes_on {
                writer.delete_token(token.id).await?;
            }
        }
        writer.commit().await?;
        Ok(account)
    }

    /// Deletes an account, its sessions and the tokens that it made.
    ///
    /// # Errors
    /// There is no such account, or no administrator would be left.
    pub async fn delete_account(&self, name: &AccountName) -> Result<(), AccessError> {
        let mut writer = self.0.store.write().await?;
        writer.delete_account(name).await?;
        for token in writer.tokens_made_by(&maker(name)).await? {
            writer.delete_token(token.id).await?;
        }
        Ok(writer.commit().await?)
    }

    /// Revokes a token: it counts no more.
    ///
    /// # Errors
    /// There is no such token.
    pub async fn revoke(&self, token: i64) -> Result<(), AccessError> {
        let mut writer = self.0.store.write().await?;
        writer.delete_token(token).await?;
        Ok(writer.commit().await?)
    }

    /// Who asks, by the headers of the request: a bearer token, else the cookie of a session. A cookie and a method that
    /// changes something need the header `X-CSRF-Token`.
    ///
    /// # Errors
    /// [`AccessError::NoCredentials`] and the other errors of this room.
    pub async fn caller(&self, method: &Method, headers: &HeaderMap) -> Result<Caller, AccessError> {
        if let Some(shown) = token::bearer(headers)? {
            return self.bearer(shown).await;
        }
        let Some(cookie) = cookie_of(headers) else { return Err(AccessError::NoCredentials) };
        let session = self.session_used(cookie, Use::of(headers)).await?.ok_or(AccessError::SessionOver)?;
        if !method.is_safe() {
            let shown = headers.get("x-csrf-token").and_then(|value| value.to_str().ok());
            session.check_csrf(shown.unwrap_or_default())?;
        }
        if session.must_change_password {
            return Err(AccessError::MustChangePassword);
        }
        Ok(Caller::Staff(session.principal))
    }

    /// Somebody at this address showed a token that is none of ours: a line in the log, but not one for each of a flood.
    pub fn refused(&self, address: IpAddr) {
        let mut refusals = self.0.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left_out) = refusals.admit(self.now()) {
            tracing::warn!(%address, left_out, "a wrong, expired or revoked token was shown");
        }
    }

    fn now(&self) -> Millis {
        self.0.clock.now()
    }
}

/// Lines about wrong tokens in one window, and how long that is.
const LINES: u32 = 10;
const WINDOW: Millis = Millis::seconds(10);

/// Counts wrong tokens, so that a flood of them is a few lines.
#[derive(Debug, Default)]
struct Refusals {
    begun: Millis,
    count: u32,
}

impl Refusals {
    /// Whether to write a line; if so, how many were left out before it.
    fn admit(&mut self, now: Millis) -> Option<u32> {
        let mut left_out = 0;
        if now < self.begun || now >= self.begun + WINDOW {
            left_out = self.count.saturating_sub(LINES);
            *self = Self { begun: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        (self.count <= LINES).then_some(left_out)
    }
}

/// What stands as the maker of an account's tokens: the account as [`Principal`] says it.
fn maker(account: &AccountName) -> String {
    format!("account {account}")
}

/// A name that a stranger gave, for the log: short, and without anything that is not a name.
fn log_name(name: &str) -> String {
    name.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::rules::{ProductKey, TokenName};

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    async fn access() -> (Access, Clock) {
        let clock = Clock::manual(Millis(1_700_000_000_000));
        let store = Store::in_memory().await.unwrap();
        (Access::new(store, clock.clone(), "here", Some("0123456789abcdef")), clock)
    }

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    fn bearer(token: &str) -> HeaderMap {
        headers(header::AUTHORIZATION, &format!("Bearer {token}"))
    }

    #[tokio::test]
    async fn the_first_administrator_changes_a_one_time_password_before_anything_else() {
        let (access, _) = access().await;
        let password = access.first_administrator().await.unwrap().unwrap();
        assert!(access.first_administrator().await.unwrap().is_none(), "only once");
        let session = access.sign_in("admin", &password, HERE).await.unwrap();
        assert!(session.must_change_password);
        let cookie = headers(header::COOKIE, &format!("quecota_session={}", session.secret()));
        let refused = access.caller(&Method::GET, &cookie).await.unwrap_err();
        assert!(matches!(refused, AccessError::MustChangePassword));

        let weak = access.change_password("admin", &password, "short", HERE).await.unwrap_err();
        assert!(matches!(weak, AccessError::WeakPassword(_)));
        let fresh = access.change_password("admin", &password, "correct horse", HERE).await.unwrap();
        assert!(access.session(session.secret()).await.unwrap().is_none(), "the session of before is over");
        let cookie = headers(header::COOKIE, &format!("a=b; quecota_session={}", fresh.secret()));
        let Caller::Staff(principal) = access.caller(&Method::GET, &cookie).await.unwrap() else { panic!() };
        assert_eq!((principal.name.as_str(), principal.role), ("admin", Role::Administrator));
        assert!(access.sign_in("admin", &password, HERE).await.is_err(), "the one-time password is used up");
    }

    #[tokio::test]
    async fn a_change_by_cookie_needs_the_sessions_csrf_token() {
        let (access, _) = access().await;
        let password = access.first_administrator().await.unwrap().unwrap();
        let session = access.change_password("admin", &password, "correct horse", HERE).await.unwrap();
        let mut headers = headers(header::COOKIE, &format!("quecota_session={}", session.secret()));
        assert!(matches!(access.caller(&Method::POST, &headers).await, Err(AccessError::Csrf)));
        headers.insert("x-csrf-token", HeaderValue::from_str(&"0".repeat(64)).unwrap());
        assert!(matches!(access.caller(&Method::POST, &headers).await, Err(AccessError::Csrf)));
        headers.insert("x-csrf-token", HeaderValue::from_str(&session.csrf).unwrap());
        access.caller(&Method::POST, &headers).await.unwrap();
        assert_ne!(session.csrf, session.secret(), "the page never has the cookie's value");
        access.sign_out(session.secret()).await.unwrap();
        assert!(matches!(access.caller(&Method::POST, &headers).await, Err(AccessError::SessionOver)));
    }

    #[tokio::test]
    async fn a_session_ends_when_it_is_idle_and_at_the_latest_after_half_a_day() {
        let (access, clock) = access().await;
        let password = access.first_administrator().await.unwrap().unwrap();
        let idle = access.sign_in("admin", &password, HERE).await.unwrap();
        clock.advance(IDLE);
        assert!(access.session(idle.secret()).await.unwrap().is_some());
        clock.advance(IDLE + Millis::seconds(1));
        assert!(access.session(idle.secret()).await.unwrap().is_none());

        let busy = access.sign_in("admin", &password, HERE).await.unwrap();
        for _ in 0..11 {
            clock.advance(Millis::hours(1));
            assert!(access.session(busy.secret()).await.unwrap().is_some());
            let mut writer = access.0.store.write().await.unwrap();
            writer.see_session(&token::digest(busy.secret()), clock.now()).await.unwrap();
            writer.commit().await.unwrap();
        }
        clock.advance(Millis::hours(1) + Millis::seconds(1));
        assert!(access.session(busy.secret()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_page_that_keeps_itself_up_to_date_keeps_no_session_alive() {
        let (access, clock) = access().await;
        let password = access.first_administrator().await.unwrap().unwrap();
        let session = access.change_password("admin", &password, "correct horse", HERE).await.unwrap();
        let mut headers = headers(header::COOKIE, &format!("quecota_session={}", session.secret()));
        let seen = async || {
            let digest = token::digest(session.secret());
            access.0.store.read().await.unwrap().find_session(&digest).await.unwrap().unwrap().seen
        };
        let begun = seen().await;
        clock.advance(Millis::hours(1));
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        access.caller(&Method::GET, &headers).await.unwrap();
        access.watched_session(session.secret()).await.unwrap().unwrap();
        // Uses are noted by a task of their own.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(seen().await, begun);
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/html"));
        access.caller(&Method::GET, &headers).await.unwrap();
        while seen().await == begun {
            tokio::task::yield_now().await;
        }
        assert_eq!(seen().await, clock.now());
    }

    #[tokio::test]
    async fn wrong_passwords_have_to_wait_at_their_address_alone() {
        let (access, _) = access().await;
        let password = access.first_administrator().await.unwrap().unwrap();
        for name in ["admin", "admin", "admin", "admin", "admin"] {
            let refused = access.sign_in(name, "a wrong one", HERE).await.unwrap_err();
            assert!(matches!(refused, AccessError::WrongPassword), "{refused}");
        }
        let refused = access.sign_in("admin", &password, HERE).await.unwrap_err();
        assert!(matches!(refused, AccessError::TooManyTries { seconds: 10 }), "{refused}");
        access.sign_in("admin", &password, "10.0.0.7".parse().unwrap()).await.unwrap();
        let refused = access.sign_in("Nobody\n", "x", HERE).await.unwrap_err();
        assert!(matches!(refused, AccessError::WrongPassword), "{refused}");
    }

    #[tokio::test]
    async fn tokens_count_until_they_expire_or_are_revoked_and_are_not_in_the_database() {
        let (access, clock) = access().await;
        let Caller::Staff(file) = access.caller(&Method::GET, &bearer("0123456789abcdef")).await.unwrap()
        else {
            panic!()
        };
        assert_eq!((file.sort, file.role), (Sort::TokenFile, Role::Administrator));

        let products = ProductScope::Only([ProductKey::new("p1").unwrap()].into());
        let grant = Grant::Role { role: Role::Operator, products };
        let name = TokenName::new("ci").unwrap();
        let expires = Some(clock.now() + Millis::hours(1));
        let (secret, token) = access.create_token(&name, &grant, "account admin", expires).await.unwrap();
        let Caller::Staff(ci) = access.caller(&Method::POST, &bearer(secret.shown_once())).await.unwrap()
        else {
            panic!()
        };
        ci.require(Role::Operator).unwrap();
        assert!(matches!(ci.require(Role::Administrator), Err(AccessError::Role { .. })));
        assert!(matches!(ci.require_all_products(), Err(AccessError::Scope { .. })));
        let again = access.create_token(&name, &grant, "account admin", None).await;
        assert!(matches!(again, Err(AccessError::Store(_))), "a name is taken once");
        for wrong in ["", "0123456789abcde", "0123456789abcdeF", &secret.shown_once()[..40]] {
            let refused = access.caller(&Method::GET, &bearer(wrong)).await;
            assert!(matches!(refused, Err(AccessError::WrongToken)), "{wrong}");
        }
        clock.advance(Millis::hours(1));
        let expired = access.caller(&Method::GET, &bearer(secret.shown_once())).await;
        assert!(matches!(expired, Err(AccessError::WrongToken)));
        let mut writer = access.0.store.write().await.unwrap();
        writer.delete_token(token.id).await.unwrap();
        writer.commit().await.unwrap();
        assert!(access.0.store.read().await.unwrap().access_token(token.id).await.is_err());
    }

    #[test]
    fn a_flood_of_wrong_tokens_is_a_few_lines() {
        let mut refusals = Refusals::default();
        let lines = (0..200).filter(|_| refusals.admit(Millis(5)).is_some()).count();
        assert_eq!(lines, 10);
        assert_eq!(refusals.admit(WINDOW + Millis(5)), Some(190));
    }
}
