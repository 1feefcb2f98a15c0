//! The reference model: what plans and devices are, and what may happen to them, in plain values and nothing else.
//! It is written from what docs/developer-center.md describes; it knows nothing of the engine's code.

use std::collections::{BTreeSet, HashMap};

/// Milliseconds since the epoch.
pub type Time = i64;

pub const SECOND: Time = 1_000;
pub const MINUTE: Time = 60 * SECOND;
pub const HOUR: Time = 60 * MINUTE;

/// Asia/Kathmandu is always 5:45 ahead of UTC, so that a push period needs no calendar here.
const ZONE: Time = 5 * HOUR + 45 * MINUTE;

/// State of an upgrade's one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    NotReceived,
    Received,
    Confirmed,
    Refused,
    Ready,
    Downloading,
    DownloadFailed,
    Downloaded,
    Upgrading,
    Succeeded,
    Failed,
    NotRequired,
}

use State::*;

impl State {
    pub fn in_flight(self) -> bool {
        matches!(self, Confirmed | Ready | Downloading | Downloaded | Upgrading)
    }

    fn has_failed(self) -> bool {
        matches!(self, DownloadFailed | Failed)
    }

    /// How long it may last without a word.
    fn lease(self, online: bool) -> Option<Time> {
        match self {
            NotReceived | Received => Some(10 * MINUTE),
            Upgrading => Some(30 * MINUTE),
            Confirmed | Ready | Downloading | Downloaded if !online => Some(24 * HOUR),
            Confirmed => Some(2 * MINUTE),
            Ready | Downloading => Some(10 * MINUTE),
            Downloaded => Some(60 * MINUTE),
            DownloadFailed | Failed => Some(24 * HOUR),
            Refused | Succeeded | NotRequired => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Saved,
    Activated,
    Upgrading,
    Suspended,
    Terminated,
    Ended,
}

impl Life {
    pub fn offers(self) -> bool {
        matches!(self, Life::Activated | Life::Upgrading)
    }

    pub fn is_over(self) -> bool {
        matches!(self, Life::Terminated | Life::Ended)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    Request,
    Online,
    /// A mark or the end of a pause.
    Tick,
}

/// What the operator entered, for one component.
#[derive(Debug, Clone)]
pub struct Settings {
    pub component: usize,
    pub target: String,
    pub source: Option<String>,
    pub on_request: bool,
    pub answers_outside: bool,
    /// Minutes of the day.
    pub period: Option<(i64, i64)>,
    pub start: Option<Time>,
    pub end: Option<Time>,
    pub white: BTreeSet<usize>,
    pub black: BTreeSet<usize>,
    pub retries: u32,
    pub refusal_delay: Time,
    pub first: Option<usize>,
    pub halt: Option<(u64, u64)>,
    pub in_flight: Option<usize>,
    pub per_minute: Option<usize>,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub settings: Settings,
    pub life: Life,
    pub resumes_to: Life,
    /// Order of activation; the newest is offered first.
    pub activated: Time,
    /// Plans that took its place.
    pub superseded_by: Vec<usize>,
    /// Since the activation or the last resume.
    pub finished: u64,
    pub failed: u64,
    /// When devices started.
    pub starts: Vec<Time>,
    /// Devices that it was for and that had not been offered it when it was terminated.
    pub unreached: u64,
}

impl Plan {
    fn includes(&self, device: usize) -> bool {
        let Settings { white, black, .. } = &self.settings;
        !black.contains(&device) && (white.is_empty() || white.contains(&device))
    }

    fn is_open_at(&self, now: Time, trigger: Trigger) -> bool {
        let Settings { period, start, end, answers_outside, .. } = &self.settings;
        let minute = (now + ZONE).rem_euclid(24 * HOUR) / MINUTE;
        let in_period = match *period {
            Some((from, until)) if from <= until => from <= minute && minute < until,
            Some((from, until)) => from <= minute || minute < until,
            None => true,
        };
        start.is_none_or(|start| start <= now)
            && end.is_none_or(|end| now < end)
            && (in_period || (*answers_outside && trigger == Trigger::Request))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Upgraded,
    Failed,
    NotUpgraded,
    NotRequired,
}

/// The upgrade of a device by a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    pub plan: usize,
    pub state: State,
    pub confirmed: bool,
    pub failures: u32,
    pub source: Option<String>,
    pub lease: Option<Time>,
    /// Not offered before, but for a request after a failure.
    pub waits: Option<Time>,
    pub proving: bool,
    pub end: Option<End>,
}

impl Upgrade {
    pub fn is_outstanding(&self) -> bool {
        self.end.is_none()
            && self.lease.is_some()
            && (self.state.in_flight() || matches!(self.state, NotReceived | Received))
    }

    fn is_at_work(&self) -> bool {
        self.is_outstanding() && self.state.in_flight()
    }

    fn has_started(&self) -> bool {
        self.end.is_none() && (self.state.in_flight() || self.state.has_failed())
    }
}

#[derive(Debug, Clone, Default)]
pub struct Device {
    pub online: bool,
    pub online_since: Time,
    /// The last status 2, by plan.
    pub confirmed_at: HashMap<usize, Time>,
    /// It told its versions on this connection.
    pub fresh: bool,
    pub known: [Option<String>; 2],
    /// In the order of their first offer.
    pub upgrades: Vec<Upgrade>,
}

/// What the center must send because of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Nothing,
    Firmware { plan: usize },
    Question,
}

#[derive(Debug, Clone, Default)]
pub struct Model {
    pub plans: Vec<Plan>,
    pub devices: Vec<Device>,
}

impl Model {
    fn settings(&self, upgrade: (usize, usize)) -> &Settings {
        &self.plans[self.upgrade(upgrade).plan].settings
    }

    fn upgrade(&self, (device, index): (usize, usize)) -> &Upgrade {
        &self.devices[device].upgrades[index]
    }

    fn upgrade_mut(&mut self, (device, index): (usize, usize)) -> &mut Upgrade {
        &mut self.devices[device].upgrades[index]
    }

    fn open(&self, device: usize) -> impl Iterator<Item = (usize, &Upgrade)> {
        self.devices[device].upgrades.iter().enumerate().filter(|(_, upgrade)| upgrade.end.is_none())
    }

    fn renew(&mut self, at: (usize, usize), now: Time) {
        let online = self.devices[at.0].online;
        let upgrade = self.upgrade_mut(at);
        upgrade.lease = upgrade.state.lease(online).map(|span| now + span);
    }

    fn finish(&mut self, at: (usize, usize), end: End) {
        let upgrade = self.upgrade_mut(at);
        (upgrade.lease, upgrade.waits, upgrade.end) = (None, None, Some(end));
        let index = upgrade.plan;
        let plan = &mut self.plans[index];
        if let Some((percent, after)) = plan.settings.halt
            && matches!(end, End::Upgraded | End::Failed)
        {
            plan.finished += 1;
            plan.failed += u64::from(end == End::Failed);
            if plan.life.offers() && plan.finished >= after && plan.failed * 100 > percent * plan.finished {
                plan.resumes_to = plan.life;
                plan.life = Life::Suspended;
            }
        }
    }

    fn fail(&mut self, at: (usize, usize), state: State, now: Time) {
        let retries = self.settings(at).retries;
        let over = self.plans[self.upgrade(at).plan].life.is_over();
        let upgrade = self.upgrade_mut(at);
        upgrade.failures += 1;
        upgrade.state = state;
        upgrade.confirmed = true;
        upgrade.proving = false;
        if over || upgrade.failures > retries {
            self.finish(at, End::Failed);
            return;
        }
        let pause = match upgrade.failures {
            0 | 1 => 10 * SECOND,
            2 => MINUTE,
            3 => 6 * MINUTE,
            _ => 10 * MINUTE,
        };
        upgrade.waits = Some(now + pause);
        upgrade.lease = Some(now + pause + 24 * HOUR);
    }

    fn succeed(&mut self, at: (usize, usize)) {
        let upgrade = self.upgrade_mut(at);
        let started = upgrade.state.in_flight() || upgrade.state.has_failed() || upgrade.failures > 0;
        upgrade.state = if started { Succeeded } else { NotRequired };
        upgrade.proving = false;
        self.finish(at, if started { End::Upgraded } else { End::NotRequired });
    }

    fn confirm(&mut self, at: (usize, usize)) {
        if std::mem::replace(&mut self.upgrade_mut(at).confirmed, true) {
            return;
        }
        let plan = self.upgrade(at).plan;
        let plan = &mut self.plans[plan];
        match plan.life {
            Life::Activated => plan.life = Life::Upgrading,
            Life::Suspended => plan.resumes_to = Life::Upgrading,
            _ => {}
        }
    }

    /// Versions have come; `proof` is the upgrade whose status 11 they came with.
    fn judge(&mut self, device: usize, proof: Option<usize>, changed: bool, now: Time) {
        for index in 0..self.devices[device].upgrades.len() {
            let at = (device, index);
            let Upgrade { end, state, proving, ref source, .. } = *self.upgrade(at);
            let settings = self.settings(at);
            let Some(reported) = &self.devices[device].known[settings.component] else { continue };
            if end.is_some() {
                continue;
            }
            let third = source.as_ref() != Some(reported);
            if *reported == settings.target {
                self.succeed(at);
            } else if proving || proof == Some(index) || (third && state == Upgrading) {
                self.fail(at, Failed, now);
            }
        }
        if changed {
            self.revert(device);
        }
    }

    /// Firmware that did not last: the last upgrade of a component has failed after all, if its plan is not over.
    fn revert(&mut self, device: usize) {
        for component in 0..2 {
            let upgrades = &self.devices[device].upgrades;
            let of = |upgrade: &Upgrade| self.plans[upgrade.plan].settings.component == component;
            let Some(index) = upgrades.iter().rposition(of) else { continue };
            let Upgrade { plan, state, ref source, end, .. } = upgrades[index];
            let known = &self.devices[device].known[component];
            let back = known.is_some() && known == source;
            let plan = &mut self.plans[plan];
            if end != Some(End::Upgraded) || state != Succeeded || !back || plan.life.is_over() {
                continue;
            }
            if let Some((percent, after)) = plan.settings.halt {
                plan.failed += 1;
                plan.finished = plan.finished.max(plan.failed);
                if plan.life.offers() && plan.finished >= after && plan.failed * 100 > percent * plan.finished
                {
                    plan.resumes_to = plan.life;
                    plan.life = Life::Suspended;
                }
            }
            let upgrade = self.upgrade_mut((device, index));
            (upgrade.state, upgrade.end) = (Failed, Some(End::Failed));
            upgrade.failures += 1;
        }
    }

    /// Says whether that is another version than before.
    fn know(&mut self, device: usize, versions: &[String; 2]) -> bool {
        let known = versions.clone().map(Some);
        std::mem::replace(&mut self.devices[device].known, known.clone()) != known
    }

    /// 0x0115.
    pub fn request(&mut self, device: usize, versions: &[String; 2], now: Time) {
        self.versions(device, versions, now);
        let Some((index, upgrade)) = self.open(device).find(|(_, upgrade)| upgrade.is_outstanding()) else {
            return;
        };
        let component = self.plans[upgrade.plan].settings.component;
        let returned = upgrade.state == Upgrading
            && self.devices[device].known[component].as_ref()
                != Some(&self.plans[upgrade.plan].settings.target);
        if upgrade.is_at_work() && (returned || self.is_withdrawn(device, upgrade.plan, now)) {
            self.fail((device, index), Failed, now);
        }
    }

    /// Whether the plan is not offered any more, for good or until an operator acts.
    fn is_withdrawn(&self, device: usize, index: usize, now: Time) -> bool {
        let plan = &self.plans[index];
        let known = self.devices[device].known[plan.settings.component].as_ref();
        let superseded = plan.superseded_by.iter().any(|newer| self.plans[*newer].includes(device));
        !plan.life.offers()
            || plan.settings.end.is_some_and(|end| end <= now)
            || (plan.is_open_at(now, Trigger::Request)
                && superseded
                && known.is_some_and(|known| *known != plan.settings.target))
    }

    /// 0x0044, 0x0042 and 0x0115; says whether they are the first versions on this connection.
    pub fn versions(&mut self, device: usize, versions: &[String; 2], now: Time) -> bool {
        let changed = self.know(device, versions);
        let first = !std::mem::replace(&mut self.devices[device].fresh, true);
        self.judge(device, None, changed, now);
        first
    }

    /// 0x0114.
    pub fn status(
        &mut self,
        device: usize,
        component: usize,
        status: u32,
        versions: Option<&[String; 2]>,
        now: Time,
    ) -> Reply {
        let of = |upgrade: &Upgrade| self.plans[upgrade.plan].settings.component == component;
        let busy = self.open(device).find(|(_, upgrade)| upgrade.is_outstanding() && of(upgrade));
        let found = busy.or_else(|| self.open(device).find(|(_, upgrade)| of(upgrade)));
        let found = found.map(|(index, _)| index);
        let changed = versions.is_some_and(|versions| self.know(device, versions));
        let mut reply = Reply::Nothing;
        if let Some(index) = found {
            let at = (device, index);
            if versions.is_some() && status == 11 {
                self.judge(device, Some(index), changed, now);
            }
            let late_proof = status == 11 && self.upgrade(at).state.has_failed();
            if self.upgrade(at).end.is_none() && !late_proof {
                reply = self.take(at, status, now);
            }
        }
        if versions.is_some() && status != 11 {
            self.judge(device, None, changed, now);
        }
        reply
    }

    fn take(&mut self, at: (usize, usize), status: u32, now: Time) -> Reply {
        let next = match status {
            1 => Received,
            2 => {
                self.confirm(at);
                let upgrade = self.upgrade_mut(at);
                (upgrade.state, upgrade.proving, upgrade.waits) = (Confirmed, false, None);
                let plan = upgrade.plan;
                self.devices[at.0].confirmed_at.insert(plan, now);
                self.renew(at, now);
                return Reply::Firmware { plan };
            }
            3 => Refused,
            4 => Ready,
            5 => Downloading,
            6 => DownloadFailed,
            8 => Downloaded,
            9 => Upgrading,
            12 => Failed,
            _ => return self.prove(at, now),
        };
        if next == self.upgrade(at).state {
            if self.upgrade(at).lease.is_some() {
                self.renew(at, now);
            }
            return Reply::Nothing;
        }
        match next {
            DownloadFailed | Failed => self.fail(at, next, now),
            Refused => {
                let until = now + self.settings(at).refusal_delay;
                let upgrade = self.upgrade_mut(at);
                (upgrade.state, upgrade.proving, upgrade.confirmed) = (Refused, false, false);
                (upgrade.lease, upgrade.waits) = (None, Some(until));
            }
            Received => {
                let since = self.devices[at.0].online_since;
                let upgrade = self.upgrade(at);
                let confirmed_at = self.devices[at.0].confirmed_at.get(&upgrade.plan);
                let just_confirmed =
                    upgrade.state == Confirmed && confirmed_at.is_some_and(|confirmed| since <= *confirmed);
                if upgrade.state.in_flight() && !just_confirmed {
                    self.fail(at, Failed, now);
                    if self.upgrade(at).end.is_some() {
                        return Reply::Nothing;
                    }
                }
                let upgrade = self.upgrade_mut(at);
                (upgrade.state, upgrade.proving) = (Received, false);
                (upgrade.confirmed, upgrade.waits) = (false, None);
                self.renew(at, now);
            }
            next => {
                self.confirm(at);
                let upgrade = self.upgrade_mut(at);
                (upgrade.state, upgrade.proving, upgrade.waits) = (next, false, None);
                self.renew(at, now);
            }
        }
        Reply::Nothing
    }

    /// Status 11: only the version that the device reports counts.
    fn prove(&mut self, at: (usize, usize), now: Time) -> Reply {
        let settings = self.settings(at);
        if self.devices[at.0].known[settings.component].as_ref() == Some(&settings.target) {
            self.succeed(at);
            return Reply::Nothing;
        }
        let over = self.plans[self.upgrade(at).plan].life.is_over();
        let upgrade = self.upgrade_mut(at);
        upgrade.confirmed = true;
        upgrade.state = Upgrading;
        upgrade.proving = true;
        if over {
            upgrade.waits = None;
        }
        self.renew(at, now);
        Reply::Question
    }

    pub fn online(&mut self, device: usize, now: Time) {
        self.devices[device].online = true;
        self.devices[device].online_since = now;
        self.devices[device].fresh = false;
        self.follow_presence(device, now);
    }

    pub fn offline(&mut self, device: usize, now: Time) {
        self.devices[device].online = false;
        self.follow_presence(device, now);
    }

    fn follow_presence(&mut self, device: usize, now: Time) {
        for index in 0..self.devices[device].upgrades.len() {
            let upgrade = &self.devices[device].upgrades[index];
            // Applying is when devices are away: its lease does not wait for them.
            if upgrade.is_at_work() && upgrade.state != Upgrading {
                self.renew((device, index), now);
            }
        }
    }

    /// The center's process starts again.
    pub fn restart(&mut self, now: Time) {
        for device in 0..self.devices.len() {
            for upgrade in &mut self.devices[device].upgrades {
                upgrade.lease = upgrade.lease.map(|until| until.max(now + 5 * MINUTE));
            }
            if self.devices[device].online {
                self.offline(device, now);
            }
        }
    }

    /// The first half of a tick: leases that ran out, and plans whose end has come.
    pub fn time(&mut self, now: Time) {
        for device in 0..self.devices.len() {
            for index in 0..self.devices[device].upgrades.len() {
                let at = (device, index);
                let upgrade = self.upgrade(at);
                if upgrade.end.is_none() && upgrade.lease.is_some_and(|until| until <= now) {
                    self.silence(at, now);
                }
            }
        }
        for index in 0..self.plans.len() {
            let plan = &self.plans[index];
            let runs = plan.life.offers() || plan.life == Life::Suspended;
            if runs && plan.settings.end.is_some_and(|end| end <= now) {
                self.close(index, Life::Ended, End::NotUpgraded);
            }
        }
    }

    fn silence(&mut self, at: (usize, usize), now: Time) {
        let offers = self.plans[self.upgrade(at).plan].life.offers();
        let online = self.devices[at.0].online;
        let upgrade = self.upgrade_mut(at);
        match upgrade.state {
            NotReceived | Received => {
                upgrade.state = NotReceived;
                upgrade.lease = None;
            }
            DownloadFailed | Failed if online || !offers => self.renew(at, now),
            DownloadFailed | Failed => self.finish(at, End::Failed),
            _ => self.fail(at, Failed, now),
        }
    }

    /// The pause of an upgrade is over, and its plan cannot be offered to the device any more: it ends. Says whether it did.
    pub fn end_for_good(&mut self, at: (usize, usize), now: Time) -> bool {
        let upgrade = self.upgrade(at);
        if upgrade.end.is_some() || !self.devices[at.0].online || upgrade.waits.is_none_or(|at| at > now) {
            return false;
        }
        let (plan, life) = (upgrade.plan, self.plans[upgrade.plan].life);
        let never_again = upgrade.confirmed
            && matches!(self.may_offer(at.0, plan, Trigger::Tick, now), Err("superseded" | "another source"));
        if !never_again && !life.is_over() {
            return false;
        }
        if life == Life::Terminated {
            self.upgrade_mut(at).state = Failed;
        }
        let failed = self.upgrade(at).state.has_failed();
        self.finish(at, if failed { End::Failed } else { End::NotUpgraded });
        true
    }

    fn close(&mut self, index: usize, life: Life, unconfirmed: End) {
        self.plans[index].life = life;
        for device in &mut self.devices {
            for upgrade in device.upgrades.iter_mut().filter(|upgrade| upgrade.plan == index) {
                let end = match upgrade {
                    Upgrade { end: Some(_), .. } => continue,
                    Upgrade { confirmed: false, .. } => unconfirmed,
                    Upgrade { state: DownloadFailed | Failed, .. } => End::Failed,
                    _ => continue,
                };
                (upgrade.lease, upgrade.waits, upgrade.end) = (None, None, Some(end));
            }
        }
    }

    pub fn activate(&mut self, index: usize, now: Time) {
        for other in 0..self.plans.len() {
            let older = &self.plans[other];
            let runs = older.life.offers() || older.life == Life::Suspended;
            if other != index && runs && older.settings.component == self.plans[index].settings.component {
                self.plans[other].superseded_by.push(index);
            }
        }
        self.plans[index].life = Life::Activated;
        self.plans[index].activated = now;
    }

    pub fn suspend(&mut self, index: usize) {
        let plan = &mut self.plans[index];
        plan.resumes_to = plan.life;
        plan.life = Life::Suspended;
    }

    pub fn resume(&mut self, index: usize) {
        let plan = &mut self.plans[index];
        plan.life = plan.resumes_to;
        (plan.finished, plan.failed) = (0, 0);
    }

    pub fn terminate(&mut self, index: usize) {
        self.close(index, Life::Terminated, End::Failed);
        let plan = &self.plans[index];
        let unreached = (0..self.devices.len()).filter(|number| {
            let Device { known, upgrades, .. } = &self.devices[*number];
            let Settings { component, target, source, .. } = &plan.settings;
            let reported = known[*component].as_ref();
            let is_for =
                |version| version != target && source.as_ref().is_none_or(|source| source == version);
            plan.includes(*number)
                && upgrades.iter().all(|upgrade| upgrade.plan != index)
                && reported.is_none_or(is_for)
        });
        self.plans[index].unreached = unreached.count() as u64;
    }

    /// Whether the plan may be offered to the device now, or what stands against it.
    pub fn may_offer(
        &self,
        device: usize,
        index: usize,
        trigger: Trigger,
        now: Time,
    ) -> Result<(), &'static str> {
        let (plan, known) = (&self.plans[index], &self.devices[device]);
        let settings = &plan.settings;
        let refuse = |fault: bool, why| if fault { Err(why) } else { Ok(()) };
        refuse(!plan.includes(device), "the lists leave it out")?;
        refuse(!plan.life.offers(), "the plan does not offer")?;
        refuse(settings.on_request && trigger != Trigger::Request, "only a request is answered")?;
        refuse(!plan.is_open_at(now, trigger), "outside planned time or push period")?;
        refuse(!known.online, "offline")?;
        refuse(!known.fresh, "versions not told on this connection")?;
        let Some(reported) = &known.known[settings.component] else { return Err("component unknown") };
        refuse(*reported == settings.target, "at its target")?;
        refuse(settings.source.as_ref().is_some_and(|source| source != reported), "another source")?;
        let newer = plan.superseded_by.iter().any(|newer| self.plans[*newer].includes(device));
        refuse(newer, "superseded")?;
        let own = known.upgrades.iter().find(|upgrade| upgrade.plan == index);
        if let Some(own) = own {
            refuse(own.end.is_some(), "at its end")?;
            refuse(own.failures > settings.retries, "retries used")?;
            let asks_after_a_failure = trigger == Trigger::Request && own.state != Refused;
            refuse(own.waits.is_some_and(|at| at > now) && !asks_after_a_failure, "waits")?;
        }
        let others = known.upgrades.iter().filter(|upgrade| upgrade.plan != index);
        refuse(others.into_iter().any(Upgrade::is_at_work), "busy with another plan")?;
        self.has_room(index, own, now)
    }

    fn has_room(&self, index: usize, own: Option<&Upgrade>, now: Time) -> Result<(), &'static str> {
        if own.is_some_and(Upgrade::is_outstanding) {
            return Ok(());
        }
        let settings = &self.plans[index].settings;
        let all = || {
            let upgrades = self.devices.iter().flat_map(|device| &device.upgrades);
            upgrades.filter(|upgrade| upgrade.plan == index)
        };
        if let Some(first) = settings.first.filter(|_| !own.is_some_and(Upgrade::has_started)) {
            let finished =
                all().filter(|upgrade| matches!(upgrade.end, Some(End::Upgraded | End::Failed))).count();
            let engaged = all().filter(|upgrade| upgrade.is_outstanding() || upgrade.has_started()).count();
            if finished < first && finished + engaged >= first {
                return Err("the first devices come first");
            }
        }
        if let Some(limit) = settings.in_flight
            && all().filter(|upgrade| upgrade.is_outstanding()).count() >= limit
        {
            return Err("too many in flight");
        }
        if let Some(limit) = settings.per_minute
            && self.plans[index].starts.iter().filter(|at| **at > now - MINUTE).count() >= limit
        {
            return Err("too many starts a minute");
        }
        Ok(())
    }

    /// The plan that a device would be offered now: the newest activation that nothing stands against.
    pub fn due(&self, device: usize, trigger: Trigger, now: Time) -> Option<usize> {
        if let Some((_, busy)) = self.open(device).find(|(_, upgrade)| upgrade.is_outstanding()) {
            if busy.is_at_work() {
                return (trigger == Trigger::Request).then_some(busy.plan);
            }
            if trigger == Trigger::Tick {
                return None;
            }
        }
        let due = (0..self.plans.len()).filter(|plan| self.may_offer(device, *plan, trigger, now).is_ok());
        due.max_by_key(|plan| (self.plans[*plan].activated, *plan))
    }

    /// The center told the device of the plan.
    pub fn offered(&mut self, device: usize, plan: usize, trigger: Trigger, now: Time) -> Result<(), String> {
        let due = self.due(device, trigger, now);
        if due != Some(plan) {
            let why = self.may_offer(device, plan, trigger, now);
            return Err(format!("offered plan {plan} ({why:?}), due was {due:?}"));
        }
        let upgrades = &mut self.devices[device].upgrades;
        if upgrades.iter().any(|upgrade| upgrade.plan == plan && upgrade.is_at_work()) {
            return Ok(());
        }
        for other in upgrades.iter_mut().filter(|other| other.plan != plan && other.is_outstanding()) {
            other.lease = None;
        }
        let source = self.devices[device].known[self.plans[plan].settings.component].clone();
        let upgrades = &mut self.devices[device].upgrades;
        let index = upgrades.iter().position(|upgrade| upgrade.plan == plan).unwrap_or_else(|| {
            upgrades.push(Upgrade {
                plan,
                state: NotReceived,
                confirmed: false,
                failures: 0,
                source: None,
                lease: None,
                waits: None,
                proving: false,
                end: None,
            });
            upgrades.len() - 1
        });
        let own = &mut upgrades[index];
        if !own.is_outstanding() {
            self.plans[plan].starts.push(now);
        }
        own.state = NotReceived;
        own.source = source;
        (own.confirmed, own.proving, own.waits) = (false, false, None);
        own.lease = Some(now + 10 * MINUTE);
        Ok(())
    }
}
