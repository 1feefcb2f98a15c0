//! The running plans of a product as they are in memory: with what they bring, until one of them changes.
//!
//! The database says which version each plan has now, with every read of a device, so several centers agree.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::evaluation::Bringing;
use super::tick::Item;
use super::{Engine, Result};
use crate::rules::plan::{List, Mode};
use crate::rules::{ComponentNo, ProductKey};
use crate::store::{Package, PackageId, Plan, PlanId, PlanVersion, PushedPart, Reader};

/// A plan that is activated and not over.
#[derive(Debug)]
pub(super) struct RunningPlan {
    pub(super) plan: Plan,
    pub(super) bringing: Bringing,
    /// Packages of its components.
    packages: Vec<Package>,
}

/// The running plans of one product.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    /// Newest activation first.
    pub(super) plans: Vec<RunningPlan>,
    versions: Vec<PlanVersion>,
    /// Which of these plans, and of those that supersede them, have lists. A plan's lists are frozen by its activation.
    lists: Vec<(PlanId, List)>,
    /// The plans whose lists are known.
    looked_up: Vec<PlanId>,
}

impl Catalog {
    pub(super) fn plan(&self, id: PlanId) -> Option<&RunningPlan> {
        self.plans.iter().find(|running| running.plan.id == id)
    }

    pub(super) fn package(&self, id: PackageId) -> Option<&Package> {
        self.plans.iter().flat_map(|running| &running.packages).find(|package| package.id == id)
    }

    /// Whether the plan has such a list; none: it is not known here.
    pub(super) fn has_list(&self, plan: PlanId, list: List) -> Option<bool> {
        self.looked_up.contains(&plan).then(|| self.lists.contains(&(plan, list)))
    }

    /// What a plan brings to components that no newer plan brings to all of its devices.
    pub(super) fn parts(&self, running: &RunningPlan) -> Vec<PushedPart> {
        let id = running.plan.id;
        let is_for_all = |newer: PlanId| {
            [List::White, List::Black].into_iter().all(|list| self.has_list(newer, list) == Some(false))
        };
        let has = |list| self.has_list(id, list) != Some(false);
        let brought = running.bringing.brought(&running.plan);
        let is_left = |component: &ComponentNo| {
            let superseded = running.bringing.superseded.iter();
            !superseded.into_iter().any(|(other, newer)| other == component && is_for_all(*newer))
        };
        brought
            .filter(|(component, _)| is_left(component))
            .map(|(component, brought)| PushedPart {
                plan: id,
                component: component.clone(),
                kind: brought.kind,
                source: brought.source.clone(),
                target: brought.target.clone(),
                has_whitelist: has(List::White),
                has_blacklist: has(List::Black),
                is_manual: running.plan.settings.mode == Mode::Manual,
            })
            .collect()
    }

    /// Plans with a list.
    pub(super) fn listing(&self) -> impl Iterator<Item = PlanId> {
        self.lists.iter().map(|(plan, _)| *plan)
    }
}

/// The catalogs of a process. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalogs(Arc<Mutex<HashMap<ProductKey, Arc<Catalog>>>>);

impl Engine {
    /// The running plans of `product`, which have these versions as `store` sees them.
    pub(super) async fn catalog(
        &self,
        store: &mut Reader,
        product: &ProductKey,
        versions: &[PlanVersion],
    ) -> Result<Arc<Catalog>> {
        let known = self.catalogs.0.lock().unwrap_or_else(PoisonError::into_inner).get(product).cloned();
        if let Some(known) = known.filter(|known| known.versions == versions) {
            return Ok(known);
        }
        let mut catalog = Catalog { versions: versions.to_vec(), ..Catalog::default() };
        let mut whole = true;
        for (id, plan) in store.running_plans_of(product).await? {
            let plan = match plan {
                Ok(plan) => plan,
                Err(error) => {
                    self.set_aside(Item::Plan(id), &error.into()).await;
                    whole = false;
                    continue;
                }
            };
            let bringing = Bringing::of(store, &plan).await?;
            let mut packages = Vec::with_capacity(plan.settings.components.len());
            for selected in &plan.settings.components {
                packages.extend(store.find_package(PackageId(selected.package)).await?);
            }
            let listing = bringing.superseded.iter().map(|(_, newer)| *newer).chain([id]);
            for plan in listing {
                for list in [List::White, List::Black] {
                    if store.has_list(plan, list).await? {
                        catalog.lists.push((plan, list));
                    }
                }
                catalog.looked_up.push(plan);
            }
            catalog.plans.push(RunningPlan { plan, bringing, packages });
        }
        let catalog = Arc::new(catalog);
        // What another center commits between two statements is in the versions of the next read.
        let mut read: Vec<_> = store.plan_versions(product).await?;
        read.sort_unstable();
        if whole && read == versions {
            let mut known = self.catalogs.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(product.clone(), Arc::clone(&catalog));
        }
        Ok(catalog)
    }
}
