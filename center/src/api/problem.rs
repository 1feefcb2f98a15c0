//! What an error looks like on the wire: a problem of RFC 9457, with the field, its value, the rule and the next step.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// Media type of a problem.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was refused, or failed (RFC 9457).
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Problem {
    /// `urn:quecota:problem:` and the code.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// What the status means.
    pub(super) title: &'static str,
    /// The HTTP status.
    #[schemars(range(min = 400, max = 599))]
    pub(super) status: u16,
    /// What happened, for people.
    pub(super) detail: String,
    /// What happened, in one word for programs.
    pub(super) code: &'static str,
    /// What is wrong: a field of the body, a parameter, or the kind of thing that is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<String>,
    /// Its value as it was given, cut after 100 characters; secrets are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<String>,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<String>,
    /// What to do next.
    pub(super) next: Cow<'static, str>,
    /// Every reason, where there may be several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("default" = []))]
    pub(super) reasons: Vec<String>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Texts and numbers: there is nothing in it that JSON cannot have.
        let text = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What is to be done about an error that does not say so itself.
pub(super) fn next_step(status: StatusCode, code: &str, field: Option<&str>) -> Cow<'static, str> {
    let told = match (code, field) {
        ("not_found", Some("product")) => "GET /api/v1/products lists the products",
        ("not_found", Some("component")) => "GET /api/v1/products/{pk}/components lists the components",
        ("not_found", Some("device")) => {
            "GET /api/v1/products/{pk}/devices?key=... finds devices by what their key begins with"
        }
        ("not_found", Some("upgrade plan")) => "GET /api/v1/plans lists the plans",
        ("not_found", Some("version package")) => "GET /api/v1/packages lists the packages",
        ("not_found", Some("firmware verification")) => {
            "GET /api/v1/packages/{package}/verifications lists the verifications of a package"
        }
        ("not_found", Some("account")) => "GET /api/v1/accounts lists the accounts",
        ("not_found", Some("webhook")) => "GET /api/v1/webhooks lists the webhooks",
        ("not_found", Some("webhook delivery")) => {
            "GET /api/v1/webhooks/{webhook}/deliveries lists the messages to a webhook"
        }
        ("disk_reserve" | "quota", _) => "delete packages that no plan needs, then send it again",
        ("not_found", Some("token")) => "GET /api/v1/tokens lists the tokens",
        ("not_found" | "method", _) => "GET /api/v1/openapi.json describes every path and its methods",
        ("unauthorized", _) => {
            "send `Authorization: Bearer TOKEN`, or sign in by POST /api/v1/session or `quecota-center login`"
        }
        ("wrong_password", _) => "try again, or ask an administrator for another one-time password",
        ("must_change_password", _) => {
            "POST /api/v1/session/password, or `quecota-center login --change-password`"
        }
        ("csrf", _) => "send the header X-CSRF-Token with the `csrf` of the answer to POST /api/v1/session",
        ("forbidden", _) => "GET /api/v1/session shows who you are; an administrator can give more",
        ("changed", _) => "GET it again, look at what changed, and send the change with its new ETag",
        ("disk_full", _) => "free some space on the center's disk, then send it again",
        ("not_activated", _) => "mend each of `reasons`, then activate again",
        ("plan_state", _) => "GET /api/v1/plans/{plan} shows the plan's state and what may follow it",
        ("internal", _) => "look into the center's log for the time of this request",
        _ => match status {
            StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                "send what GET /api/v1/openapi.json describes for this path"
            }
            StatusCode::CONFLICT => "GET it again and see what stands against the change",
            StatusCode::PAYLOAD_TOO_LARGE => "send less in one request",
            StatusCode::REQUEST_TIMEOUT => "send it again",
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                "wait a moment, then send it again"
            }
            _ => {
                return match field {
                    Some(field) => Cow::Owned(format!("correct {field}, then send it again")),
                    None => Cow::Borrowed("correct the request, then send it again"),
                };
            }
        },
    };
    Cow::Borrowed(told)
}
