//! What a caller of the API is told when something is refused or fails.

use std::borrow::Cow;

use axum::extract::multipart::{MultipartError, MultipartRejection};
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tracing::error;

use super::problem::{Problem, next_step};
use crate::access::AccessError;
use crate::engine::EngineError;
use crate::packages::format::Refusal;
use crate::packages::object_store::ObjectError;
use crate::rules::manual::ActionRefused;
use crate::rules::names::{self, NameError};
use crate::store::StoreError;
use crate::webhooks::DestinationError;

/// Characters of a refused value that an answer repeats: enough to recognise it, never a flood.
const VALUE_SHOWN: usize = 100;

/// An error, told as a [`Problem`].
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    body: Box<ErrorBody>,
}

#[derive(Debug, Clone)]
struct ErrorBody {
    code: &'static str,
    message: String,
    field: Option<String>,
    value: Option<String>,
    rule: Option<String>,
    /// None: what [`next_step`] says.
    next: Option<String>,
    /// Every reason, where there may be several.
    reasons: Vec<String>,
}

impl ApiError {
    /// An error without a field.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        let body = ErrorBody {
            code,
            message,
            field: None,
            value: None,
            rule: None,
            next: None,
            reasons: Vec::new(),
        };
        Self { status, body: Box::new(body) }
    }

    /// A value that breaks a rule.
    pub fn invalid(code: &'static str, field: &str, value: &str, rule: impl Into<String>) -> Self {
        let rule = rule.into();
        let value = shorten(value);
        let message =
            if value.is_empty() { format!("{field}: {rule}") } else { format!("{field} {value:?}: {rule}") };
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message);
        error.body.field = Some(field.to_owned());
        error.body.value = Some(value).filter(|value| !value.is_empty());
        error.body.rule = Some(rule);
        error
    }

    /// Refuses a name that a person enters and that has something in it that nobody sees.
    pub fn check_seen(field: &str, name: &str) -> Result<(), Self> {
        match names::unseen(name) {
            Some(rule) => Err(Self::invalid("unseen", field, name, rule)),
            None => Ok(()),
        }
    }

    /// A value that a rule does not take, in the rule's own words.
    fn unfit(code: &'static str, message: String, field: &str, value: impl std::fmt::Display) -> Self {
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message);
        error.body.field = Some(field.to_owned());
        error.body.value = Some(value.to_string());
        error
    }

    /// A thing that is not there.
    pub fn missing(thing: &str, name: &str) -> Self {
        let name = shorten(name);
        let message = format!("there is no {thing} {}", name.escape_debug());
        let mut error = Self::new(StatusCode::NOT_FOUND, "not_found", message);
        error.body.field = Some(thing.to_owned());
        error.body.value = Some(name);
        error
    }

    /// The status that it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence for people.
    pub(crate) fn message(&self) -> &str {
        &self.body.message
    }

    /// The field that is wrong, where one is.
    pub(crate) fn field(&self) -> Option<&str> {
        self.body.field.as_deref()
    }

    /// What kind of error it is.
    pub(crate) fn code(&self) -> &'static str {
        self.body.code
    }

    /// The value that is wrong, where one was given.
    pub(crate) fn value(&self) -> Option<&str> {
        self.body.value.as_deref()
    }

    /// What would be right.
    pub(crate) fn rule(&self) -> Option<&str> {
        self.body.rule.as_deref()
    }

    /// Every reason, where there are several.
    pub(crate) fn reasons(&self) -> &[String] {
        &self.body.reasons
    }

    /// Whether the same request may succeed later.
    pub fn is_temporary(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// The same error with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The error of a request that names things in its body: one that is not there makes the body wrong (422),
    /// not the address (404).
    pub fn naming_the_missing(error: impl Into<Self>) -> Self {
        let mut error = error.into();
        if error.status == StatusCode::NOT_FOUND {
            error.status = StatusCode::UNPROCESSABLE_ENTITY;
            error.body.rule = Some("it must be there before it is named here".to_owned());
        }
        error
    }

    /// What to do about it.
    #[must_use]
    pub(super) fn next(mut self, step: impl Into<String>) -> Self {
        self.body.next = Some(step.into());
        self
    }

    fn with_reasons<T: ToString>(mut self, reasons: &[T]) -> Self {
        self.body.reasons = reasons.iter().map(ToString::to_string).collect();
        self
    }

    fn disk_full() -> Self {
        let message =
            "the center's disk is full, nothing of this was kept: free some space and send it again";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", message)
    }

    /// A failure of the center itself: the cause goes to its log, the caller learns that it was not them.
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        let mut causes = cause.to_string();
        let mut next = cause.source();
        while let Some(cause) = next {
            causes = format!("{causes}: {cause}");
            next = cause.source();
        }
        error!(%causes, "a request failed");
        let message = "the center could not do this; its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let ErrorBody { code, message, field, value, rule, next, reasons } = *error.body;
        let next = next.map_or_else(|| next_step(error.status, code, field.as_deref()), Cow::Owned);
        Self {
            kind: format!("urn:quecota:problem:{code}"),
            title: error.status.canonical_reason().unwrap_or("Error"),
            status: error.status.as_u16(),
            detail: message,
            code,
            field,
            value,
            rule,
            next,
            reasons,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let missing = (self.body.code == "not_found").then(|| Missing(self.clone()));
        let mut response = Problem::from(self).into_response();
        if let Some(missing) = missing {
            response.extensions_mut().insert(missing);
        }
        response
    }
}

/// Beside an answer that something is not there: why, for whoever knows the names that there are.
#[derive(Debug, Clone)]
pub(super) struct Missing(pub(super) ApiError);

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Store(error) => error.into(),
            AccessError::Name(error) => error.into(),
            AccessError::WeakPassword(rule) => Self::invalid(error.code(), "password", "", rule),
            error => Self::new(error.status(), error.code(), error.to_string()),
        }
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::invalid("invalid", error.what, &error.value, error.rule)
    }
}

impl From<DestinationError> for ApiError {
    fn from(error: DestinationError) -> Self {
        Self::invalid("invalid", "url", &error.value, error.rule)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let error = Self::invalid(refusal.code, refusal.field, &refusal.value, refusal.rule);
        match refusal.code {
            "file_too_large" => error.with_status(StatusCode::PAYLOAD_TOO_LARGE),
            _ => error,
        }
    }
}

impl From<ObjectError> for ApiError {
    fn from(error: ObjectError) -> Self {
        match &error {
            ObjectError::Full(_) => {
                tracing::warn!(%error, "upload refused");
                Self::disk_full()
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what, id } => Self::missing(what, &id),
            StoreError::Conflict { what, id, reason } => {
                Self::invalid("conflict", what, &id, reason).with_status(StatusCode::CONFLICT)
            }
            _ if error.is_full() => {
                tracing::warn!(%error, "the database has no room");
                Self::disk_full()
            }
            StoreError::Unavailable(_) => {
                tracing::warn!(%error, "a request had to be refused");
                let message = "the center's database is not available now; try again in a moment";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
            StoreError::Refused(_) | StoreError::Unusable(_) | StoreError::Sealed(_) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::Store(error) => error.into(),
            EngineError::Forbidden => Self::new(StatusCode::CONFLICT, "forbidden", message),
            EngineError::LateLock(_)
            | EngineError::Busy(_)
            | EngineError::OfSet(_)
            | EngineError::Interrupted
            | EngineError::CenterIdInUse(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
            EngineError::Plan(faults) => match faults.as_slice() {
                [fault] => Self::from(fault.clone()),
                faults => {
                    Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message).with_reasons(faults)
                }
            },
            EngineError::Activation(faults) => {
                Self::new(StatusCode::CONFLICT, "not_activated", message).with_reasons(&faults)
            }
            EngineError::Transition(_) => Self::new(StatusCode::CONFLICT, "plan_state", message),
            EngineError::ActionRefused(refused) => refused.into(),
        }
    }
}

impl From<ActionRefused> for ApiError {
    fn from(refused: ActionRefused) -> Self {
        let message = refused.to_string();
        match refused {
            ActionRefused::TooShort { until, .. } | ActionRefused::AfterEnd { until, .. } => {
                Self::unfit("window", message, "until", until)
            }
            ActionRefused::BeforeStart { from, .. } | ActionRefused::OutsidePeriod { from, .. } => {
                Self::unfit("window", message, "from", from)
            }
            ActionRefused::WhichPlan { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "which_plan", message)
            }
            _ => Self::new(StatusCode::CONFLICT, "not_taken", message),
        }
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "body",
            format!("the body is not the JSON that belongs here: {error}"),
        )
    }
}

impl From<MultipartRejection> for ApiError {
    fn from(rejection: MultipartRejection) -> Self {
        let message = format!("{}; send a form (multipart/form-data)", rejection.body_text());
        Self::new(rejection.status(), "body", message)
    }
}

impl From<MultipartError> for ApiError {
    fn from(error: MultipartError) -> Self {
        let message =
            format!("the form breaks off or is malformed, nothing of it was kept: {}", error.body_text());
        Self::new(error.status(), "body", message)
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), "body", rejection.body_text())
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        Self::new(rejection.status(), "body", rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), "query", rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), "path", rejection.body_text())
    }
}

fn shorten(value: &str) -> String {
    match value.char_indices().nth(VALUE_SHOWN) {
        Some((end, _)) => format!("{}...", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}
