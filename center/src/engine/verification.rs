//! Firmware verification: one device, one package, outside any plan; an upgrade without a plan, which has an hour.

use serde_json::json;

use super::device_transaction::{DeviceTransaction, with_device};
use super::{Engine, Result};
use crate::rules::DeviceKey;
use crate::rules::applicability::{ComponentFacts, Need, is_needed};
use crate::rules::block_reason::BlockReason;
use crate::rules::progress::Presence;
use crate::rules::trigger::Trigger;
use crate::rules::upgrade::VERIFICATION_TIME;
use crate::rules::upgrade::{Input, Phase};
use crate::store::{Package, PackageId, StoreError, Upgrade};

impl Engine {
    /// Begins the verification of a package on one device: the next tick offers it if the device is online and free, else
    /// it waits, an hour in all. [`StoreError::Conflict`] if the device is being verified already, or if what it reported
    /// on this connection says that the package would prove nothing.
    pub async fn verify(&self, package: PackageId, key: &DeviceKey) -> Result<Upgrade> {
        let mut store = self.store.read().await?;
        let product = store.package(package).await?.content.product;
        let device = store.device(&product, key).await?.id;
        drop(store);
        let begun = with_device!(self, device, |transaction| {
            let found = transaction.store.beside().hold_package(package).await?;
            let package = found.ok_or_else(|| StoreError::missing("version package", package.0))?;
            transaction.begin_verification(package).await
        });
        Ok(begun?.0)
    }
}

impl DeviceTransaction<'_> {
    async fn begin_verification(&mut self, package: Package) -> Result<Upgrade> {
        let refuse =
            |key: &DeviceKey, reason: String| Err(StoreError::conflict("device", key, reason).into());
        let open = self.store.open_upgrades(self.device.id);
        if let Some(other) = open.iter().find(|upgrade| upgrade.plan.is_none()) {
            let reason = format!("firmware verification {} has this device; wait for its end", other.id.0);
            return refuse(&self.device.key, reason);
        }
        let kind =
            self.store.beside().component(&package.content.product, &package.content.component).await?.kind;
        let facts = self.facts(&package, kind);
        if self.device.versions_at.is_some()
            && let Err(blocked) = needed(&facts)
        {
            return refuse(
                &self.device.key,
                format!("{blocked}; the package would prove nothing on this device"),
            );
        }
        let upgrade = Upgrade::verification(self.device.id, facts, self.now);
        let deadline = self.now + VERIFICATION_TIME;
        let upgrade = self.store.create_upgrade(upgrade).await?;
        self.becomes_due();
        let text = format!("firmware verification of version package {} until {deadline}", package.id.0);
        self.log(Some(&upgrade), None, "decision", json!({ "text": text })).await?;
        Ok(upgrade)
    }

    /// The device is there and no plan's upgrade is at work: its verification goes on, or begins.
    pub(super) async fn offer_verification(&mut self, mut upgrade: Upgrade, trigger: Trigger) -> Result<()> {
        let Some(component) = upgrade.components.first() else { return Ok(()) };
        if upgrade.is_outstanding() {
            return match (trigger, upgrade.phase()) {
                (Trigger::Request, Phase::AtWork) => {
                    self.apply(&mut upgrade, None, Input::Request { blocked: None }).await
                }
                (Trigger::Request, _) | (Trigger::Online, Phase::Offered | Phase::NextOffered) => {
                    self.apply(&mut upgrade, None, Input::OfferAgain).await
                }
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
        let package = self.store.package(self.device.id, component.package).await?;
        let facts = self.facts(&package, component.kind);
        if let Err(reason) = needed(&facts) {
            return self.apply(&mut upgrade, None, Input::VerificationBlocked(reason)).await;
        }
        self.withdraw_others(None).await?;
        self.apply(&mut upgrade, None, Input::OfferVerification).await
    }

    /// Ends the verifications whose deadline has passed.
    pub(super) async fn end_late_verifications(&mut self) -> Result<()> {
        for mut upgrade in self.store.open_upgrades(self.device.id) {
            if upgrade.deadline.is_some_and(|deadline| deadline <= self.now) {
                self.apply(&mut upgrade, None, Input::DeadlinePassed).await?;
            }
        }
        Ok(())
    }

    fn facts(&self, package: &Package, kind: crate::rules::ComponentKind) -> ComponentFacts {
        let content = &package.content;
        let known = self.device.facts(&self.versions);
        let source = content.kind.source().unwrap_or(&content.target);
        let reported = known.reported(&content.component, kind, &[content.target.as_str(), source.as_str()]);
        ComponentFacts {
            component: content.component.clone(),
            kind,
            package: package.id,
            reported: reported.map(str::to_owned),
            source: content.kind.source().cloned(),
            target: content.target.clone(),
            superseded_by: None,
        }
    }
}

/// Whether the package would change the device, or what stands against it.
fn needed(facts: &ComponentFacts) -> std::result::Result<(), BlockReason> {
    match is_needed(facts)? {
        Need::Upgrade => Ok(()),
        Need::None => Err(BlockReason::AtTarget),
    }
}
