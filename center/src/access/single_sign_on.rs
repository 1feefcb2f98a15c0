//! Single sign-on by OpenID Connect: authorization code with PKCE.
//!
//! What a sign-in that has begun must remember is in a sealed cookie of the browser, so that any of several centers can end
//! it, and so that nobody fills anything by beginning many.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use base64ct::{Base64UrlUnpadded, Encoding};
use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreGenderClaim, CoreProviderMetadata};
use openidconnect::{
    AdditionalClaims, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse,
    IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    TokenResponse, UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::{Access, AccessError, ProductScope, Role, Session};
use crate::clock::Millis;
use crate::rules::AccountName;
use crate::store::{Account, NewAccount, StoreError};

/// Name of the cookie.
const COOKIE: &str = "quecota_sign_in";
/// Path of the callback, below the console's address.
pub const CALLBACK: &str = "/sign-in/callback";
/// How long somebody may take at the provider.
const PATIENCE: Millis = Millis::minutes(10);
/// Deadline of one request to the provider, and most bytes of its answer.
const DEADLINE: Duration = Duration::from_secs(10);
const ANSWER_MAX: usize = 1024 * 1024;
/// How long what the provider says about itself, its keys among it, is taken for current.
const CURRENT: Duration = Duration::from_secs(300);
/// Names that are tried for a new account.
const NAMES: u32 = 20;

/// Where people sign in, and what they may do then.
#[derive(Clone)]
pub struct SingleSignOn {
    /// The provider.
    pub issuer: String,
    /// What the provider knows the center as.
    pub client_id: String,
    /// What the center proves itself with; none: by PKCE alone.
    pub client_secret: Option<String>,
    /// Address under which browsers reach the console.
    pub console: String,
    /// Claim that gives the role: a text, or a list of texts.
    pub role_claim: String,
    /// The role of each value of that claim; empty: the values are the names of the roles.
    pub roles: BTreeMap<String, Role>,
    /// Scopes to ask for beside `openid`.
    pub scopes: Vec<String>,
}

impl fmt::Debug for SingleSignOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleSignOn").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// The provider as it was asked last.
pub(super) struct Provider {
    config: SingleSignOn,
    client: reqwest::Client,
    known: Mutex<Option<(Instant, CoreProviderMetadata)>>,
}

/// What the browser keeps between the begin and the end.
#[derive(Serialize, Deserialize)]
struct Begun {
    state: String,
    nonce: String,
    verifier: String,
    then: String,
    until: Millis,
}

/// A sign-in that has begun.
pub struct Departure {
    /// Where the browser goes.
    pub url: String,
    /// What it keeps.
    pub cookie: HeaderValue,
}

/// What the provider sent the browser back with.
#[derive(Debug, Default)]
pub struct Return {
    /// Proof of the sign-in.
    pub code: String,
    /// What it was begun with.
    pub state: String,
    /// Why there is no proof.
    pub error: String,
}

/// The answer of a provider whose client cannot be used as one.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("{}", in_words(.0))]
    Request(#[from] reqwest::Error),
    #[error("the answer is longer than {ANSWER_MAX} bytes")]
    TooLong,
    #[error(transparent)]
    Form(#[from] openidconnect::http::Error),
}

fn in_words(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Every claim that is not a standard one.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OtherClaims(Map<String, Value>);

impl AdditionalClaims for OtherClaims {}

/// Sends a request of the library.
async fn send(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, RequestError> {
    let mut answer = client.execute(request.try_into()?).await?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(RequestError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    let mut response = openidconnect::http::Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        response = response.header(name, value);
    }
    Ok(response.body(body)?)
}

impl Provider {
    pub(super) fn new(config: SingleSignOn) -> Result<Self, AccessError> {
        let client = reqwest::Client::builder()
            // Where a provider would lead us to is nobody's that was named.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(DEADLINE)
            .user_agent(concat!("quecota-center/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(provider)?;
        Ok(Self { config, client, known: Mutex::default() })
    }

    /// Does work with the library on a thread that may wait: its futures cannot go from thread to thread.
    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, AccessError> + Send + 'static,
    ) -> Result<T, AccessError> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || work(&this)).await.map_err(provider)?
    }

    fn http(&self) -> impl Fn(HttpRequest) -> Result<HttpResponse, RequestError> {
        let (client, runtime) = (self.client.clone(), Handle::current());
        move |request| runtime.block_on(send(client.clone(), request))
    }

    /// What the provider says about itself.
    fn metadata(&self) -> Result<CoreProviderMetadata, AccessError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, metadata)) = known
            && at.elapsed() < CURRENT
        {
            return Ok(metadata);
        }
        let issuer = IssuerUrl::new(self.config.issuer.clone()).map_err(provider)?;
        let found = CoreProviderMetadata::discover(&issuer, &self.http()).map_err(provider)?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    /// Where the browser goes, and what it keeps.
    fn depart(&self, then: String, now: Millis) -> Result<(String, Begun), AccessError> {
        let client = client_of(self.metadata()?, &self.config)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let mut request = client
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge);
        for scope in &self.config.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = request.url();
        let begun = Begun {
            state: state.into_secret(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
            then,
            until: now + PATIENCE,
        };
        Ok((url.to_string(), begun))
    }

    /// Who has signed in there: their subject, and all of their claims.
    fn arrive(&self, begun: Begun, code: String) -> Result<(String, Map<String, Value>), AccessError> {
        let client = client_of(self.metadata()?, &self.config)?;
        let http = self.http();
        let answer = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(provider)?
            .set_pkce_verifier(PkceCodeVerifier::new(begun.verifier))
            .request(&http)
            .map_err(provider)?;
        let token = answer.id_token().ok_or_else(|| provider("it gave no ID token"))?;
        let verified = token.claims(&client.id_token_verifier(), &Nonce::new(begun.nonce));
        let subject = verified.map_err(provider)?.subject().clone();
        // The token is proven; what the library's types do not have is read from it once more.
        let mut claims = payload(&token.to_string()).unwrap_or_default();
        if !claims.contains_key(&self.config.role_claim)
            && let Ok(question) = client.user_info(answer.access_token().clone(), Some(subject.clone()))
        {
            let told: UserInfoClaims<OtherClaims, CoreGenderClaim> =
                question.request(&http).map_err(provider)?;
            claims.extend(told.additional_claims().0.clone());
            for (claim, value) in [
                ("preferred_username", told.preferred_username().map(|name| name.to_string())),
                ("email", told.email().map(|email| email.to_string())),
            ] {
                claims.extend(value.map(|value| (claim.to_owned(), Value::from(value))));
            }
        }
        Ok((subject.to_string(), claims))
    }
}

type Client = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

fn client_of(metadata: CoreProviderMetadata, config: &SingleSignOn) -> Result<Client, AccessError> {
    let id = ClientId::new(config.client_id.clone());
    let secret = config.client_secret.clone().map(ClientSecret::new);
    let callback = RedirectUrl::new(format!("{}{CALLBACK}", config.console.trim_end_matches('/')));
    Ok(CoreClient::from_provider_metadata(metadata, id, secret).set_redirect_uri(callback.map_err(provider)?))
}

/// The claims of a token whose signature was checked.
fn payload(token: &str) -> Option<Map<String, Value>> {
    let part = token.split('.').nth(1)?;
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).ok()?).ok()
}

fn provider(error: impl fmt::Display) -> AccessError {
    AccessError::Provider(error.to_string())
}

impl Access {
    /// Lets people sign in there, too.
    ///
    /// # Errors
    /// [`AccessError::Provider`]: the system cannot make a client of HTTP.
    pub fn allow_single_sign_on(&self, config: SingleSignOn) -> Result<(), AccessError> {
        let provider = Provider::new(config)?;
        // Once, at the start.
        let _ = self.0.provider.set(Arc::new(provider));
        Ok(())
    }

    /// Whether people may sign in by OpenID Connect.
    #[must_use]
    pub fn has_single_sign_on(&self) -> bool {
        self.0.provider.get().is_some()
    }

    fn provider(&self) -> Result<Arc<Provider>, AccessError> {
        self.0.provider.get().cloned().ok_or(AccessError::NoSingleSignOn)
    }

    /// Begins a sign-in that leads to the page `then` of the console in the end.
    ///
    /// # Errors
    /// [`AccessError::NoSingleSignOn`], [`AccessError::Provider`].
    pub async fn begin_single_sign_on(&self, then: &str, secure: bool) -> Result<Departure, AccessError> {
        let (then, now) = (then.to_owned(), self.now());
        let (url, begun) = self.provider()?.ask(move |provider| provider.depart(then, now)).await?;
        let text = serde_json::to_string(&begun).map_err(provider)?;
        let sealed = self.0.store.seal_sign_in(&text)?;
        Ok(Departure { url, cookie: set_cookie(&sealed, PATIENCE.0 / 1_000, secure) })
    }

    /// Ends a sign-in: `cookie` is what the browser kept. Gives the session and the page that it leads to. An account is made
    /// for who has none; the role of an account is what the provider says at each sign-in.
    ///
    /// # Errors
    /// [`AccessError::SignInOver`], [`AccessError::Provider`], [`AccessError::NoRole`].
    pub async fn end_single_sign_on(
        &self,
        cookie: Option<&str>,
        returned: &Return,
        address: IpAddr,
    ) -> Result<(Session, String), AccessError> {
        let provider = self.provider()?;
        let now = self.now();
        let begun = cookie.and_then(|cookie| self.0.store.open_sign_in(cookie));
        let begun: Option<Begun> = begun.and_then(|text| serde_json::from_str(&text).ok());
        let begun = begun.filter(|begun| now < begun.until).ok_or(AccessError::SignInOver)?;
        // Another page cannot have made this browser begin it.
        if !super::token::same(&Sha256::digest(&begun.state), &Sha256::digest(&returned.state)) {
            return Err(AccessError::SignInOver);
        }
        if !returned.error.is_empty() {
            let said: String = returned.error.chars().filter(|c| !c.is_control()).take(200).collect();
            return Err(AccessError::Provider(format!("it says {said:?}")));
        }
        let then = begun.then.clone();
        let code = returned.code.clone();
        let (subject, claims) = provider.ask(move |provider| provider.arrive(begun, code)).await?;
        let config = &provider.config;
        let Some(role) = role_of(claims.get(&config.role_claim), &config.roles) else {
            tracing::warn!(%address, subject, "single sign-on refused: no role");
            return Err(AccessError::NoRole { claim: config.role_claim.clone() });
        };
        let account =
            self.account_for(&format!("{} {subject}", config.issuer), &claims, role, address).await?;
        Ok((self.begin_session(account, address).await?, then))
    }

    /// The account of somebody at the provider, in this role.
    async fn account_for(
        &self,
        subject: &str,
        claims: &Map<String, Value>,
        role: Role,
        address: IpAddr,
    ) -> Result<Account, AccessError> {
        let found = self.0.store.read().await?.account_of_subject(subject).await?;
        if let Some(account) = found {
            if account.role == role {
                return Ok(account);
            }
            let action = format!("single sign-on: role {}, before {}", role, account.role);
            let account = self.edit_account(&account.name, role, &account.products).await?;
            self.note(&super::maker(&account.name), address, &action).await?;
            return Ok(account);
        }
        let base = name_of(claims);
        for number in 1..=NAMES {
            // A name that somebody has is theirs: whoever is called so at the provider gets another one.
            let name = if number == 1 { base.clone() } else { format!("{base}-{number}") };
            let name = AccountName::new(name)?;
            let new = NewAccount {
                name: &name,
                password: None,
                role,
                products: &ProductScope::All,
                must_change: false,
                subject: Some(subject),
            };
            let mut writer = self.0.store.write().await?;
            match writer.create_account(&new, self.now()).await {
                Ok(account) => {
                    writer.commit().await?;
                    let action = format!("single sign-on: account made, role {role}");
                    self.note(&super::maker(&name), address, &action).await?;
                    return Ok(account);
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AccessError::Provider(format!("there are {NAMES} accounts with the name {base} already")))
    }
}

/// The highest role that the claim's values give.
fn role_of(claim: Option<&Value>, roles: &BTreeMap<String, Role>) -> Option<Role> {
    let values: Vec<&str> = match claim? {
        Value::String(value) => vec![value],
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let role = |value: &&str| match roles.is_empty() {
        true => value.parse().ok(),
        false => roles.get(*value).copied(),
    };
    values.iter().filter_map(role).max()
}

/// A name for the account: what people know each other by.
fn name_of(claims: &Map<String, Value>) -> String {
    let known = ["preferred_username", "email", "name"].iter().find_map(|claim| claims.get(*claim)?.as_str());
    let name: String = known
        .unwrap_or_default()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.@+".contains(*c))
        .take(60)
        .collect();
    if name.is_empty() { "person".to_owned() } else { name }
}

fn set_cookie(value: &str, seconds: i64, secure: bool) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path=/sign-in; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    // Letters of base64 and our own words.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The value of the cookie of a sign-in that has begun.
#[must_use]
pub fn sign_in_cookie(headers: &axum::http::HeaderMap) -> Option<&str> {
    super::principal::cookie_named(headers, COOKIE)
}

/// `Set-Cookie` that takes the cookie away.
#[must_use]
pub fn no_sign_in_cookie(secure: bool) -> HeaderValue {
    set_cookie("", 0, secure)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_highest_role_that_the_claim_gives_counts() {
        let named = BTreeMap::new();
        assert_eq!(role_of(Some(&json!("operator")), &named), Some(Role::Operator));
        assert_eq!(role_of(Some(&json!(["x", "viewer", "operator"])), &named), Some(Role::Operator));
        let mapped = BTreeMap::from([
            ("ota-admins".to_owned(), Role::Administrator),
            ("staff".to_owned(), Role::Viewer),
        ]);
        assert_eq!(role_of(Some(&json!(["staff", "ota-admins"])), &mapped), Some(Role::Administrator));
        assert_eq!(role_of(Some(&json!("administrator")), &mapped), None, "only what was named");
        for none in [json!([]), json!("boss"), json!(true), json!({ "role": "viewer" })] {
            assert_eq!(role_of(Some(&none), &named), None, "{none}");
        }
        assert_eq!(role_of(None, &named), None);
    }

    #[test]
    fn an_account_gets_a_name_that_it_can_have() {
        let name = |claims: Value| name_of(claims.as_object().unwrap());
        assert_eq!(name(json!({ "preferred_username": "Jo.Doe", "email": "x@y" })), "jo.doe");
        assert_eq!(name(json!({ "email": "jo@example.org" })), "jo@example.org");
        assert_eq!(name(json!({ "name": "李\u{202e}" })), "person");
        AccountName::new(format!("{}-{NAMES}", name(json!({ "name": "x".repeat(200) })))).unwrap();
    }
}
