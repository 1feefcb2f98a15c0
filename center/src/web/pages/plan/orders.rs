//! Orders for devices of a plan: another try, or leaving out, for one or many.

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::{Monitoring, Wanted, failed, page, reached};
use crate::api::error::ApiError;
use crate::engine::{Chosen, Order, Ordered};
use crate::rules::progress::UpgradeState;
use crate::rules::{DeviceKey, Remark};
use crate::store::PlanId;
use crate::web::Console;
use crate::web::form::{Act, Fields};
use crate::web::layout::Answer;
use crate::web::memo::Waits;
use crate::web::view::View;

/// What became of an order for devices.
pub(super) fn outcome(view: &View, ordered: &Ordered) -> Markup {
    html! {
        div.said role="status" {
            p { (view.f("Devices done: {0}.", &[&ordered.done])) }
            @if !ordered.not_done.is_empty() {
                p { (view.f("Nothing was done for {0}:", &[&ordered.not_done.len()])) }
                ul { @for left in ordered.not_done.iter().take(20) { li { span.mono { (left.device) } ": " (left.reason) } } }
            }
            @if ordered.next.is_some() { p { (view.t("There are more in this list: do it again for the next part.")) } }
        }
    }
}

/// `POST /plans/{plan}/order`: another try, or leaving out, for one or many devices.
pub async fn order(
    State(console): State<Console>,
    Path(id): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    let id = reached(&console, &view, &id).await?;
    match given_order(&console, id, &fields).await {
        Ok(ordered) => {
            // Shown here and not after a redirect: it names devices. Doing it again would do no harm.
            let wanted = Wanted::of(&fields);
            let seen = Monitoring::of(&console, id, &wanted, Waits::Page).await?;
            Ok(page(&view, &seen, &wanted, None, Some(&ordered)))
        }
        Err(error) => failed(&console, &view, id, &error).await,
    }
}

async fn given_order(console: &Console, id: PlanId, fields: &Fields) -> Result<Ordered, ApiError> {
    let chosen = if fields.get("action") == "retry_all" {
        let state = fields.given("state").map_or(Ok(UpgradeState::Failed), str::parse)?;
        Chosen::Filter { state, reason: fields.given("reason").map(str::to_owned), after: 0 }
    } else {
        let keys = fields.all("device").map(DeviceKey::new).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(ApiError::invalid("missing", "device", "", "choose one or more devices of the list"));
        }
        Chosen::Keys(keys)
    };
    let order = match fields.get("action") {
        "skip" => Order::Skip { reason: Remark::new(fields.get("because"))?.into() },
        _ => Order::Retry,
    };
    Ok(console.engine().order(id, chosen, &order).await?)
}
