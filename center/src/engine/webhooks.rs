//! What webhooks are told: written in the transaction of what has happened.

use serde_json::json;

use super::Result;
use super::device_transaction::DeviceTransaction;
use super::transaction::Transaction;
use crate::clock::Millis;
use crate::rules::plan::PlanEvent;
use crate::rules::progress::UpgradeState;
use crate::rules::webhook::{WebhookEvent, plan_data};
use crate::store::{Announcement, Plan, Upgrade};

/// A plan has taken a step.
pub(super) async fn announce_plan(
    store: &mut Transaction,
    plan: &Plan,
    event: PlanEvent,
    now: Millis,
) -> Result<()> {
    let Some(event) = WebhookEvent::of_plan(event) else { return Ok(()) };
    let (name, product) = (plan.settings.name.as_str(), plan.settings.product.as_str());
    let data = plan_data(plan.id.0, name, product, plan.state, plan.halted.as_deref());
    Ok(store.announce(event, product, &data, now).await?)
}

impl DeviceTransaction<'_> {
    /// An upgrade of the device, which was in the state `before`, has changed.
    pub(super) fn announce_upgrade(&mut self, before: UpgradeState, after: &Upgrade) {
        let Some(event) = WebhookEvent::of_upgrade(before, after.state) else { return };
        let components: Vec<_> = after
            .components
            .iter()
            .map(|component| {
                json!({ "component": component.component, "target": component.target, "state": component.state })
            })
            .collect();
        let data = json!({
            "product": self.device.product,
            "device": self.device.key,
            "plan": after.plan,
            "upgrade": after.id,
            "state": after.state,
            "reason": after.reason,
            "components": components,
        });
        let product = self.device.product.as_str().to_owned();
        self.store.announce(Announcement { event, product, data, at: self.now });
    }
}
