//! Why somebody may not.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Role;
use crate::rules::NameError;
use crate::store::StoreError;

/// Why somebody may not do what they ask for. The texts are for them.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Neither a token nor a session.
    #[error(
        "no token: send the header `Authorization: Bearer TOKEN`; `quecota-center token create` makes one, and the \
         center's data folder has an administrator's in its file `token`"
    )]
    NoCredentials,
    /// A token that is none of ours.
    #[error(
        "the token is wrong, expired or revoked: show one that `quecota-center token create` made, or the one in the \
         file `token` of the center's data folder"
    )]
    WrongToken,
    /// The cookie's session is over.
    #[error("the session is over: sign in again")]
    SessionOver,
    /// A changing request of a session without its CSRF token.
    #[error(
        "the request does not show that it comes from the center's own pages: load the page again, or send the header \
         X-CSRF-Token with the session's token"
    )]
    Csrf,
    /// A one-time password is still in use.
    #[error("the password is a one-time one: change it first")]
    MustChangePassword,
    /// Name or password are wrong; it is not said which.
    #[error("name or password are wrong")]
    WrongPassword,
    /// Too many wrong tries.
    #[error("too many wrong tries from this address: wait {seconds} s and try again")]
    TooManyTries {
        /// How long.
        seconds: u64,
    },
    /// The new password is none.
    #[error("password: {0}")]
    WeakPassword(&'static str),
    /// The role does not allow it.
    #[error("{who} has the role {has}, and this needs the role {needs}: ask an administrator")]
    Role {
        /// Who asks.
        who: String,
        /// What they have.
        has: Role,
        /// What would do.
        needs: Role,
    },
    /// The scope does not reach to it.
    #[error("{who} may not work with {what}: ask an administrator for that product")]
    Scope {
        /// Who asks.
        who: String,
        /// What is out of reach.
        what: String,
    },
    /// An end user asks for what is not theirs.
    #[error("this token is an end user's: it is for the upgrade plans of its own devices alone")]
    EndUser,
    /// Nobody signs in by OpenID Connect here.
    #[error("there is no single sign-on here: whoever runs the center sets it up with --oidc-issuer")]
    NoSingleSignOn,
    /// The sign-in was not begun by this browser, or long ago.
    #[error("the sign-in took too long, or was begun in another browser: begin it again")]
    SignInOver,
    /// The OpenID Connect provider refuses, or says nothing that can be used.
    #[error("the single sign-on provider: {0}")]
    Provider(String),
    /// The provider knows them, and gives them no role here.
    #[error("the single sign-on provider gives you no role here: ask for one in its claim {claim:?}")]
    NoRole {
        /// The claim that gives it.
        claim: String,
    },
    /// No account can be named so.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The password cannot be hashed or checked.
    #[error("passwords cannot be checked now: {0}")]
    Passwords(String),
}

impl AccessError {
    /// The HTTP status that says it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            AccessError::NoCredentials
            | AccessError::WrongToken
            | AccessError::SessionOver
            | AccessError::WrongPassword => StatusCode::UNAUTHORIZED,
            AccessError::Csrf
            | AccessError::MustChangePassword
            | AccessError::Role { .. }
            | AccessError::Scope { .. }
            | AccessError::NoRole { .. }
            | AccessError::EndUser => StatusCode::FORBIDDEN,
            AccessError::NoSingleSignOn => StatusCode::NOT_FOUND,
            AccessError::SignInOver => StatusCode::BAD_REQUEST,
            AccessError::Provider(_) => StatusCode::BAD_GATEWAY,
            AccessError::TooManyTries { .. } => StatusCode::TOO_MANY_REQUESTS,
            AccessError::WeakPassword(_) | AccessError::Name(_) => StatusCode::UNPROCESSABLE_ENTITY,
            AccessError::Store(_) | AccessError::Passwords(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// One word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            AccessError::NoCredentials | AccessError::WrongToken | AccessError::SessionOver => "unauthorized",
            AccessError::WrongPassword => "wrong_password",
            AccessError::Csrf => "csrf",
            AccessError::MustChangePassword => "must_change_password",
            AccessError::Role { .. }
            | AccessError::Scope { .. }
            | AccessError::NoRole { .. }
            | AccessError::EndUser => "forbidden",
            AccessError::NoSingleSignOn => "not_found",
            AccessError::SignInOver => "sign_in_over",
            AccessError::Provider(_) => "provider",
            AccessError::TooManyTries { .. } => "too_many_tries",
            AccessError::WeakPassword(_) => "weak_password",
            AccessError::Name(_) => "invalid",
            AccessError::Store(_) | AccessError::Passwords(_) => "unavailable",
        }
    }
}

/// A plain answer, for pages that have no better one.
impl IntoResponse for AccessError {
    fn into_response(self) -> Response {
        (self.status(), format!("{self}\n")).into_response()
    }
}
