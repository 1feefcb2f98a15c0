//! Firmware verification: one device, one package, outside any plan; an upgrade without a plan, which has an hour.

use serde_json::json;

use super::device_transaction::DeviceTransaction;
use super::{Engine, Result};
use crate::rules::DeviceKey;
use crate::rules::eligibility::{self, BlockReason, ComponentFacts, Need, Trigger};
use crate::rules::progress::{ComponentState, Presence};
use crate::rules::verification::VERIFICATION_TIME;
use crate::store::{ComponentUpgrade, Package, PackageId, StoreError, Upgrade};

impl Engine {
    /// Begins the verification of a package on one device: the next tick offers it if the device is online and free, else
    /// it waits, an hour in all. [`StoreError::Conflict`] if the device is being verified already, or if what it reported
    /// on this connection says that the package would prove nothing.
    pub async fn verify(&self, package: PackageId, key: &DeviceKey) -> Result<Upgrade> {
        let mut store = self.store.read().await?;
        let product = store.package(package).await?.content.product;
        let device = store.device(&product, key).await?.id;
        drop(store);
        let mut transaction = self.transaction(device).await?;
        let package = transaction
            .store
            .hold_package(package)
            .await?
            .ok_or_else(|| StoreError::missing("version package", package.0))?;
        let upgrade = transaction.begin_verification(package).await?;
        transaction.finish().await?;
        Ok(upgrade)
    }
}

impl DeviceTransaction<'_> {
    async fn begin_verification(&mut self, package: Package) -> Result<Upgrade> {
        let refuse =
            |key: &DeviceKey, reason: String| Err(StoreError::conflict("device", key, reason).into());
        let open = self.store.open_upgrades(self.device.id).await?;
        if let Some(other) = open.iter().find(|upgrade| upgrade.plan.is_none()) {
            let reason = format!("firmware verification {} has this device; wait for its end", other.id.0);
            return refuse(&self.device.key, reason);
        }
        let kind = self.store.component(&package.content.product, &package.content.component).await?.kind;
        let facts = self.facts(&package, kind);
        if self.device.versions_at.is_some()
            && let Err(blocked) = needed(&facts)
        {
            return refuse(
                &self.device.key,
                format!("{blocked}; the package would prove nothing on this device"),
            );
        }
        let component = ComponentUpgrade {
            component: package.content.component,
            kind,
            package: package.id,
            source: facts.reported,
            target: package.content.target,
            state: ComponentState::PlanNotReceived,
            reason: None,
            failures: 0,
            fetched: 0,
            fetched_before: 0,
            wants_sha256: false,
            proving: false,
            lease_until: None,
            updated: self.now,
        };
        let deadline = self.now + VERIFICATION_TIME;
        let upgrade = Upgrade {
            next_offer: Some(self.now),
            deadline: Some(deadline),
            ..Upgrade::new(None, self.device.id, self.now, vec![component])
        };
        let upgrade = self.store.create_upgrade(upgrade).await?;
        let text = format!("firmware verification of version package {} until {deadline}", package.id.0);
        self.log(Some(&upgrade), None, "decision", json!({ "text": text })).await?;
        Ok(upgrade)
    }

    /// The device is there and no plan's upgrade is at work: its verification goes on, or begins.
    pub(super) async fn offer_verification(&mut self, mut upgrade: Upgrade, trigger: Trigger) -> Result<()> {
        let Some(component) = upgrade.components.first() else { return Ok(()) };
        if upgrade.is_outstanding() {
            let unanswered =
                matches!(component.state, ComponentState::PlanNotReceived | ComponentState::PlanReceived);
            return match trigger {
                Trigger::Request => self.offer_again(upgrade).await,
                Trigger::Online if unanswered => self.offer_again(upgrade).await,
                _ => Ok(()),
            };
        }
        if self.device.presence() == Presence::Offline {
            return Ok(());
        }
        if self.device.versions_at.is_none() {
            if trigger == Trigger::Retry {
                self.ask_versions();
            }
            return Ok(());
        }
        let package = self.store.package(component.package).await?;
        let facts = self.facts(&package, component.kind);
        if let Err(blocked) = needed(&facts) {
            self.end_verification(&mut upgrade, &blocked.to_string()).await?;
            return self.save(&mut upgrade).await;
        }
        self.withdraw_others(None).await?;
        if let Some(component) = upgrade.components.first_mut() {
            component.source = facts.reported;
        }
        upgrade.next_offer = None;
        self.renew(&mut upgrade, 0);
        self.save(&mut upgrade).await?;
        self.send_offer(&upgrade, "firmware verification").await
    }

    /// The verification has failed; the caller saves it.
    pub(super) async fn end_verification(&mut self, upgrade: &mut Upgrade, reason: &str) -> Result<()> {
        self.set(upgrade, 0, ComponentState::Failed);
        if let Some(component) = upgrade.components.first_mut() {
            component.reason = Some(reason.to_owned());
        }
        self.end_failed(upgrade, reason, "verification").await
    }

    /// Verifications whose hour is over.
    pub(super) async fn end_late_verifications(&mut self) -> Result<()> {
        for mut upgrade in self.store.open_upgrades(self.device.id).await? {
            if upgrade.deadline.is_none_or(|deadline| deadline > self.now) {
                continue;
            }
            let state = upgrade.components.first().map(|component| component.state);
            let was = match state {
                Some(ComponentState::PlanNotReceived) if !upgrade.is_outstanding() => {
                    "was not offered: offline, or busy with a plan".to_owned()
                }
                Some(state) => format!("was at {state}"),
                None => "had no component".to_owned(),
            };
            let minutes = VERIFICATION_TIME.0 / 60_000;
            let reason = format!("not finished within {minutes} minutes; the device {was}");
            self.end_verification(&mut upgrade, &reason).await?;
            self.save(&mut upgrade).await?;
        }
        Ok(())
    }

    fn facts(&self, package: &Package, kind: crate::rules::ComponentKind) -> ComponentFacts {
        let content = &package.content;
        ComponentFacts {
            component: content.component.clone(),
            reported: self.reported(&content.component, kind).map(str::to_owned),
            source: content.kind.source().cloned(),
            target: content.target.clone(),
            superseded_by: None,
        }
    }
}

/// Whether the package would change the device, or what stands against it.
fn needed(facts: &ComponentFacts) -> std::result::Result<(), BlockReason> {
    match eligibility::is_needed(facts)? {
        Need::Upgrade => Ok(()),
        Need::None => Err(BlockReason::AtTarget),
    }
}
