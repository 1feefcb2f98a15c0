//! The running plans of a product as they are in memory: with what they bring, until one of them changes.
//!
//! The database says which version each plan has now, with every read of a device, so several centers agree.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
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
    pub(super) plan: Arc<Plan>,
    pub(super) bringing: Bringing,
    /// Packages of its components.
    packages: Vec<Arc<Package>>,
}

/// Whether a plan has a list of each kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lists {
    pub(super) white: bool,
    pub(super) black: bool,
}

impl Lists {
    async fn of(store: &mut Reader, plan: PlanId) -> Result<Lists> {
        Ok(Lists {
            white: store.has_list(plan, List::White).await?,
            black: store.has_list(plan, List::Black).await?,
        })
    }

    const fn any(self) -> bool {
        self.white || self.black
    }
}

/// The running plans of one product.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    /// Newest activation first.
    pub(super) plans: Vec<RunningPlan>,
    versions: Vec<PlanVersion>,
    /// Which lists these plans, and those that supersede them, have. A plan's lists are frozen by its activation.
    lists: BTreeMap<PlanId, Lists>,
}

impl Catalog {
    pub(super) fn plan(&self, id: PlanId) -> Option<&RunningPlan> {
        self.plans.iter().find(|running| running.plan.id == id)
    }

    pub(super) fn package(&self, id: PackageId) -> Option<&Arc<Package>> {
        self.plans.iter().flat_map(|running| &running.packages).find(|package| package.id == id)
    }

    /// Which lists the plan has; none: it is not known here.
    pub(super) fn lists(&self, plan: PlanId) -> Option<Lists> {
        self.lists.get(&plan).copied()
    }

    /// What a plan brings to components that no newer plan brings to all of its devices.
    pub(super) fn parts(&self, running: &RunningPlan) -> Vec<PushedPart> {
        let id = running.plan.id;
        let is_for_all = |newer: PlanId| self.lists(newer).is_some_and(|lists| !lists.any());
        let lists = self.lists(id).unwrap_or(Lists { white: true, black: true });
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
                has_whitelist: lists.white,
                has_blacklist: lists.black,
                is_manual: running.plan.settings.mode == Mode::Manual,
            })
            .collect()
    }

    /// Plans with a list.
    pub(super) fn listing(&self) -> impl Iterator<Item = PlanId> {
        self.lists.iter().filter(|(_, lists)| lists.any()).map(|(plan, _)| *plan)
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
                packages.extend(store.find_package(PackageId(selected.package)).await?.map(Arc::new));
            }
            let listing = bringing.superseded.iter().map(|(_, newer)| *newer).chain([id]);
            for plan in listing {
                if let Entry::Vacant(lists) = catalog.lists.entry(plan) {
                    lists.insert(Lists::of(store, plan).await?);
                }
            }
            catalog.plans.push(RunningPlan { plan: Arc::new(plan), bringing, packages });
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
