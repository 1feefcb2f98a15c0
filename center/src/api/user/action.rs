//! `POST /products/{pk}/devices/{dk}/upgrade-plan/{action}`: `confirm`, `appoint`, `cancel` and `retry`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::plan::InLanguage;
use super::{Shown, check_theirs};
use crate::access::{AccessError, Caller};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{AcceptLanguage, Asked, Named, OptionalBody};
use crate::clock::Millis;
use crate::engine::UserCommand;
use crate::rules::consent::Appointment;
use crate::rules::upgrade::UserAction;
use crate::rules::{DeviceKey, ProductKey};
use crate::store::PlanId;

/// The body of an action.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// Number of the plan that is meant; without it, the one plan that takes the action.
    plan: Option<i64>,
    /// Of an appointment alone: the window opens, Unix milliseconds.
    from: Option<Millis>,
    /// It closes.
    until: Option<Millis>,
}

impl Given {
    /// The action with its window; only an appointment has one.
    fn command(&self, action: UserAction) -> Result<UserCommand, ApiError> {
        match (action, self.from, self.until) {
            (UserAction::Appoint, Some(from), Some(until)) => {
                Ok(UserCommand::Appoint(Appointment { from, until }))
            }
            (UserAction::Appoint, from, _) => {
                let field = if from.is_none() { "from" } else { "until" };
                let rule = "an appointment names its window, `from` and `until`, in Unix milliseconds";
                Err(ApiError::invalid("missing", field, "", rule))
            }
            (UserAction::Confirm, None, None) => Ok(UserCommand::Confirm),
            (UserAction::Cancel, None, None) => Ok(UserCommand::Cancel),
            (UserAction::Retry, None, None) => Ok(UserCommand::Retry),
            (_, from, _) => {
                let field = if from.is_some() { "from" } else { "until" };
                let rule = format!("only an appointment has a window, {action} has none");
                Err(ApiError::invalid("unknown_field", field, "", rule))
            }
        }
    }
}

/// Takes an action of the device's end user; answers with the plan as the end user then sees it.
pub async fn action(
    State(api): State<Api>,
    caller: Result<Caller, AccessError>,
    Named((product, key, action)): Named<(ProductKey, DeviceKey, UserAction)>,
    Asked(language): Asked<InLanguage>,
    AcceptLanguage(headers): AcceptLanguage,
    OptionalBody(given): OptionalBody<Given>,
) -> Result<Json<Shown>, ApiError> {
    let wanted = language.wanted(&headers)?;
    check_theirs(&api, caller, &product, &key, given.plan).await?;
    let plan = given.plan.map(PlanId);
    let plan = api.engine.apply_user_command(&product, &key, plan, given.command(action)?).await?;
    let device = api.engine.store().read().await?.device(&product, &key).await?.id;
    let seen = api.engine.user_plan(device, plan).await?;
    Ok(Json(Shown::of(seen, &wanted, api.engine.clock().now())))
}
