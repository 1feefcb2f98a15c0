//! The model beside the engine and its store: every upgrade, log and figure must agree.

use super::*;

impl World {
    /// Every plan and every upgrade is as the model says.
    pub(super) async fn compare(&mut self) -> Checked {
        for (index, row) in self.stored_plans().await.iter().enumerate() {
            let (is, expected) = (life(&row.get::<String, _>("state")), self.model.plans[index].life);
            if is != expected {
                return Err(format!("plan {index} is {is:?}, the model says {expected:?}"));
            }
        }
        for (device, mut stored) in self.stored_upgrades().await.into_iter().enumerate() {
            let expected = &self.model.devices[device].upgrades;
            if stored.len() != expected.len() {
                let count = stored.len();
                return Err(format!("d{device} has {count} upgrades, the model {}", expected.len()));
            }
            for (is, expected) in stored.iter_mut().zip(expected) {
                // An offer that is held back is put off, never brought forward; the model follows.
                if expected.end.is_none() && is.waits.is_some() && is.waits < expected.waits {
                    return Err(format!(
                        "d{device}: next offer at {:?}, the model says {expected:?}",
                        is.waits
                    ));
                }
                let same = Upgrade { waits: is.waits, ..expected.clone() };
                if *is != same {
                    return Err(format!("d{device} is {is:?}, the model says {expected:?}"));
                }
            }
            self.model.devices[device].upgrades = stored;
        }
        Ok(())
    }

    pub(super) async fn stored_plans(&self) -> Vec<AnyRow> {
        let sql = "SELECT state, suspended_from, halt_finished, halt_failed FROM plans ORDER BY id";
        sqlx::query(sql).fetch_all(&self.side).await.unwrap()
    }

    /// By device, in the order of their first offer.
    pub(super) async fn stored_upgrades(&self) -> Vec<Vec<Upgrade>> {
        let sql = "SELECT device_id, plan_id, upgrades.state AS device_state, confirmed_at, next_offer_at, ended_at, \
             part.state AS state, failures, lease_until, proving, source \
             FROM upgrades JOIN component_upgrades AS part ON part.upgrade_id = upgrades.id ORDER BY upgrades.id";
        let mut upgrades = vec![Vec::new(); self.gadgets.len()];
        for row in sqlx::query(sql).fetch_all(&self.side).await.unwrap() {
            let time = |column| row.get::<Option<i64>, _>(column);
            let plan = PlanId(row.get("plan_id"));
            let upgrade = Upgrade {
                plan: self.plans.iter().position(|known| *known == plan).expect("a plan of this run"),
                state: state(&row.get::<String, _>("state")),
                confirmed: time("confirmed_at").is_some(),
                failures: row.get::<i64, _>("failures") as u32,
                source: row.get("source"),
                lease: time("lease_until"),
                waits: time("next_offer_at"),
                proving: row.get::<i64, _>("proving") != 0,
                end: time("ended_at").map(|_| end(&row.get::<String, _>("device_state"))),
            };
            upgrades[self.number(DeviceId(row.get("device_id")))].push(upgrade);
        }
        upgrades
    }

    /// After a tick that was killed: the store says how far it came. What was final stays so.
    pub(super) async fn adopt(&mut self) -> Checked {
        for (index, row) in self.stored_plans().await.iter().enumerate() {
            let starts = "SELECT at FROM plan_starts WHERE plan_id = $1";
            let starts = sqlx::query(starts).bind(self.plans[index].0).fetch_all(&self.side).await.unwrap();
            let known = &mut self.model.plans[index];
            let now = life(&row.get::<String, _>("state"));
            if known.life.is_over() && known.life != now {
                return Err(format!("plan {index} was {:?} and is {now:?}", known.life));
            }
            known.life = now;
            let resumes = row.get::<Option<String>, _>("suspended_from");
            known.resumes_to = resumes.map_or(known.resumes_to, |state| life(&state));
            known.finished = row.get::<i64, _>("halt_finished") as u64;
            known.failed = row.get::<i64, _>("halt_failed") as u64;
            if known.settings.per_minute.is_some() {
                known.starts = starts.iter().map(|row| row.get::<i64, _>(0)).collect();
            }
        }
        for (device, stored) in self.stored_upgrades().await.into_iter().enumerate() {
            let before = std::mem::replace(&mut self.model.devices[device].upgrades, stored);
            let after = &self.model.devices[device].upgrades;
            if after.len() < before.len() {
                return Err(format!("d{device} lost an upgrade in a tick that was killed"));
            }
            for (before, after) in before.iter().zip(after) {
                let reopened = before.end.is_some() && before.end != after.end;
                if after.failures < before.failures || reopened {
                    return Err(format!("d{device}: {before:?} became {after:?} in a tick that was killed"));
                }
            }
        }
        Ok(())
    }

    /// Nothing that was acknowledged is lost, and nothing counts twice.
    pub(super) async fn compare_logs(&mut self) -> Checked {
        for device in 0..self.gadgets.len() {
            let mut reader = self.store.read().await.map_err(|error| error.to_string())?;
            let log = reader
                .device_log(self.gadgets[device].id, 10_000)
                .await
                .map_err(|error| error.to_string())?;
            let statuses = log.iter().filter(|entry| entry.kind.ends_with("status")).map(|entry| entry.times);
            let (logged, gadget) = (statuses.sum::<i64>(), &self.gadgets[device]);
            if logged < gadget.acknowledged {
                return Err(format!(
                    "d{device}: {} statuses acknowledged, {logged} there",
                    gadget.acknowledged
                ));
            }
            if logged != gadget.counted {
                return Err(format!("d{device}: {} statuses counted, {logged} there", gadget.counted));
            }
        }
        Ok(())
    }

    /// What is kept of the plans' counts is what a recount gives.
    async fn compare_counts(&self) -> Checked {
        let kept =
            "SELECT plan_id, state, reason, devices FROM upgrade_counts ORDER BY plan_id, state, reason";
        let recount = "SELECT plan_id, state, COALESCE(reason, '') AS reason, COUNT(*) AS devices FROM upgrades \
             WHERE plan_id IS NOT NULL GROUP BY plan_id, state, COALESCE(reason, '') ORDER BY plan_id, state, reason";
        let mut counts = Vec::new();
        for sql in [kept, recount] {
            let rows = sqlx::query(sql).fetch_all(&self.side).await.unwrap();
            let count = |row: &AnyRow| {
                let [state, reason] = ["state", "reason"].map(|column| row.get::<String, _>(column));
                (row.get::<i64, _>("plan_id"), state, reason, row.get::<i64, _>("devices"))
            };
            counts.push(rows.iter().map(count).collect::<Vec<_>>());
        }
        if counts[0] != counts[1] {
            return Err(format!("counts are {:?}, a recount gives {:?}", counts[0], counts[1]));
        }
        Ok(())
    }

    pub(super) async fn compare_figures(&mut self) -> Checked {
        self.compare_counts().await?;
        for index in 0..self.plans.len() {
            let mut reader = self.store.read().await.map_err(|error| error.to_string())?;
            let figures = reader.plan_figures(self.plans[index]).await.map_err(|error| error.to_string())?;
            let all = self.model.devices.iter().flat_map(|device| &device.upgrades);
            let ends: Vec<_> =
                all.filter(|upgrade| upgrade.plan == index).map(|upgrade| upgrade.end).collect();
            let count = |end| ends.iter().filter(|is| **is == Some(end)).count() as u64;
            let failed = count(End::Failed) + self.model.plans[index].unreached;
            if (figures.upgraded, figures.failed) != (count(End::Upgraded), failed) {
                return Err(format!("plan {index}: {figures:?}, the model says {ends:?}"));
            }
        }
        Ok(())
    }
}

pub(super) fn life(state: &str) -> Life {
    match state.parse().unwrap() {
        PlanState::Saved => Life::Saved,
        PlanState::Activated => Life::Activated,
        PlanState::Upgrading => Life::Upgrading,
        PlanState::Suspended => Life::Suspended,
        PlanState::Terminated => Life::Terminated,
        PlanState::Ended => Life::Ended,
    }
}

pub(super) fn end(state: &str) -> End {
    match state.parse().unwrap() {
        UpgradeState::NotRequired => End::NotRequired,
        UpgradeState::NotUpgraded => End::NotUpgraded,
        UpgradeState::Upgraded => End::Upgraded,
        // An upgrade that is over and still Upgrading is a disagreement of its own.
        UpgradeState::Upgrading | UpgradeState::Failed => End::Failed,
    }
}

pub(super) fn state(state: &str) -> State {
    use ComponentState as Is;
    match state.parse().unwrap() {
        Is::PlanNotReceived => State::NotReceived,
        Is::PlanReceived => State::Received,
        Is::Confirmed => State::Confirmed,
        Is::Refused => State::Refused,
        Is::ReadyToDownload => State::Ready,
        Is::Downloading => State::Downloading,
        Is::Downloaded => State::Downloaded,
        Is::DownloadFailed => State::DownloadFailed,
        Is::Upgrading => State::Upgrading,
        Is::Succeeded => State::Succeeded,
        Is::Failed => State::Failed,
        Is::NotRequired => State::NotRequired,
    }
}
