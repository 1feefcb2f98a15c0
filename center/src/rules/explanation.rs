//! Why a device is where it is in a plan, in words, and what may change it.

use super::eligibility::{Held, Verifying, Wait};
use super::names::ComponentNo;
use super::plan::Push;
use super::progress::ComponentState;
use super::window::Zone;
use crate::clock::Millis;

/// Where a device stands in a plan now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It was offered the plan, or is at work.
    UnderWay {
        /// The component whose turn it is.
        component: ComponentNo,
        /// Where it is.
        state: ComponentState,
        /// Until when the device must be heard of.
        until: Option<Millis>,
    },
    /// A condition holds it back.
    Held(Held),
    /// Another plan has the device, or comes first.
    Behind {
        /// That plan.
        plan: i64,
    },
    /// Nothing holds it back: it waits for the center's next look at it.
    Due {
        /// When that is, at the latest.
        at: Millis,
        /// Whether the device is asked for its battery and signal first.
        asks: Asks,
    },
}

/// Whether a device is asked for its battery and signal before it is offered a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// The plan has a limit, and the device has told no value.
    First,
    /// Nothing needs to be asked.
    Nothing,
}

/// What a device's standing follows from.
#[derive(Debug, Clone)]
pub struct Grounds<'a> {
    /// The component at work, its state and its lease, if the plan's upgrade has the device busy.
    pub at_work: Option<(ComponentNo, ComponentState, Option<Millis>)>,
    /// What [`super::eligibility::offer`] says.
    pub held: Option<Held>,
    /// Another plan that has the device busy or is offered first.
    pub ahead: Option<i64>,
    /// Whether the device is asked first.
    pub asks: Asks,
    /// Who begins.
    pub push: Push,
    /// The plan's time zone.
    pub zone: &'a Zone,
    /// The time.
    pub now: Millis,
}

impl Standing {
    /// The standing that follows from `grounds`.
    pub fn of(grounds: Grounds<'_>) -> Self {
        match grounds {
            Grounds { at_work: Some((component, state, until)), .. } => {
                Standing::UnderWay { component, state, until }
            }
            Grounds { held: Some(held), .. } => Standing::Held(held),
            Grounds { ahead: Some(plan), .. } => Standing::Behind { plan },
            Grounds { push: Push::OnRequest, .. } => Standing::Held(Held::OnRequestOnly),
            Grounds { zone, now, asks, .. } => Standing::Due { at: zone.next_mark(now), asks },
        }
    }

    /// One word for it, the same for all devices of which the same is true.
    pub fn condition(&self) -> &'static str {
        match self {
            Standing::UnderWay { .. } => "under_way",
            Standing::Held(held) => held.condition(),
            Standing::Behind { .. } => "behind",
            Standing::Due { .. } => "due",
        }
    }

    /// When it may change by itself; none: only by an event.
    pub fn may_change(&self) -> Option<Millis> {
        match self {
            Standing::UnderWay { until, .. } => *until,
            Standing::Held(held) => held.may_change(),
            Standing::Behind { .. } => None,
            Standing::Due { at, .. } => Some(*at),
        }
    }

    /// What changes it.
    pub fn changes_with(&self) -> &'static str {
        match self {
            Standing::UnderWay { .. } => "the device's next report, or the end of this time",
            Standing::Held(held) => held.changes_with(),
            Standing::Behind { .. } => "the other plan's end on this device",
            Standing::Due { .. } => "the next 10-minute mark, or the device's request or connect",
        }
    }

    /// The sentence for people, with its values and its times in `zone`.
    pub fn told(&self, zone: &Zone, now: Millis) -> String {
        match self {
            Standing::UnderWay { component, state, until } => {
                let work = match state {
                    ComponentState::PlanNotReceived => "was offered; the device has not answered".to_owned(),
                    ComponentState::PlanReceived => "was offered; the device has not confirmed".to_owned(),
                    state => format!("is at {state}"),
                };
                match until {
                    Some(until) => {
                        format!("component {component} {work}; it has until {}", zone.told(*until, now))
                    }
                    None => format!("component {component} {work}"),
                }
            }
            Standing::Held(held) => held.told(zone, now),
            Standing::Behind { plan } => format!("plan {plan} comes first on this device"),
            Standing::Due { at, asks: Asks::First } => {
                format!(
                    "nothing known holds it back; asked for battery and signal by {}",
                    zone.told(*at, now)
                )
            }
            Standing::Due { at, asks: Asks::Nothing } => {
                format!("nothing holds it back; offered by {}", zone.told(*at, now))
            }
        }
    }
}

impl Held {
    /// One word for the condition, whatever its values.
    pub fn condition(&self) -> &'static str {
        match self {
            Held::OtherProduct { .. } => "other_product",
            Held::Blacklisted => "blacklisted",
            Held::NotWhitelisted => "not_whitelisted",
            Held::Finished { .. } => "finished",
            Held::PlanState { .. } => "plan_state",
            Held::OnRequestOnly => "on_request_only",
            Held::BeforeStart { .. } => "before_start",
            Held::AfterEnd { .. } => "after_end",
            Held::OutsidePeriod { .. } => "outside_push_period",
            Held::Offline => "offline",
            Held::VersionsUnknown => "versions_unknown",
            Held::AtTarget => "at_target",
            Held::ComponentUnknown { .. } => "component_unknown",
            Held::SourceDiffers { .. } => "source_differs",
            Held::Superseded { .. } => "superseded",
            Held::RetriesUsed { .. } => "retries_used",
            Held::Waiting { wait: Wait::Refusal, .. } => "refused",
            Held::Waiting { wait: Wait::Failure, .. } => "failed_waiting",
            Held::OtherUpgrade { .. } => "other_upgrade",
            Held::Verification(_) => "verification",
            Held::AwaitingUser { .. } => "awaiting_user",
            Held::Appointed { .. } => "appointed",
            Held::FirstDevices { .. } => "first_devices",
            Held::InFlight { .. } => "in_flight_limit",
            Held::PerMinute { .. } => "per_minute_limit",
            Held::Battery { .. } => "battery",
            Held::Rsrp { .. } => "rsrp",
        }
    }

    /// What ends the condition.
    pub fn changes_with(&self) -> &'static str {
        match self {
            Held::OtherProduct { .. }
            | Held::Blacklisted
            | Held::NotWhitelisted
            | Held::AfterEnd { .. }
            | Held::Superseded { .. } => "nothing in this plan",
            Held::Finished { .. } | Held::RetriesUsed { .. } => "nothing by itself: the device is final here",
            Held::PlanState { .. } => "the operator's resuming the plan",
            Held::OnRequestOnly => "the device's request",
            Held::BeforeStart { .. } | Held::OutsidePeriod { .. } | Held::Waiting { .. } => "time",
            Held::Offline => "the device's connect",
            Held::VersionsUnknown => "the device's version report; it is asked at the next 10-minute mark",
            Held::AtTarget | Held::ComponentUnknown { .. } | Held::SourceDiffers { .. } => {
                "another version reported by the device"
            }
            Held::OtherUpgrade { .. } => "the end of that upgrade",
            Held::Verification(_) => "the end of the firmware verification",
            Held::AwaitingUser { .. } => "the end user's confirmation or appointment",
            Held::Appointed { .. } => "time, or the end user",
            Held::FirstDevices { .. } => "the end of the first devices",
            Held::InFlight { .. } => "the end of another device",
            Held::PerMinute { .. } => "time",
            Held::Battery { .. } | Held::Rsrp { .. } => "a better value reported by the device",
        }
    }

    /// The sentence for people, with times in `zone` and the span until then.
    pub fn told(&self, zone: &Zone, now: Millis) -> String {
        match self {
            Held::BeforeStart { start } => format!("planned time begins at {}", zone.told(*start, now)),
            Held::AfterEnd { end } => format!("planned time ended at {}", zone.told(*end, now)),
            Held::OutsidePeriod { opens, .. } => format!("push period opens at {}", zone.told(*opens, now)),
            Held::Waiting { wait: Wait::Refusal, until } => {
                format!("the device refused; offered again at {}", zone.told(*until, now))
            }
            Held::Waiting { wait: Wait::Failure, until } => {
                format!("an attempt failed; offered again at {}", zone.told(*until, now))
            }
            Held::Verification(Verifying { verification, package, until }) => {
                let until = zone.told(*until, now);
                format!(
                    "firmware verification {verification} of version package {package} has the device, until {until} \
                     at the latest"
                )
            }
            Held::AwaitingUser { missed: Some(until) } => format!(
                "waits for the user's confirmation: the appointed window closed at {}",
                zone.told(*until, now)
            ),
            Held::Appointed { from, .. } => format!("appointed for {}", zone.told(*from, now)),
            Held::PerMinute { limit, until } => {
                let next = zone.told(*until, now);
                format!(
                    "{limit} devices started in the last minute, the plan's limit; the next one at {next}"
                )
            }
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_772_376_480_000); // 2026-03-01 14:48 UTC

    fn grounds(zone: &Zone) -> Grounds<'_> {
        let (push, asks) = (Push::Actively, Asks::Nothing);
        Grounds { at_work: None, held: None, ahead: None, asks, push, zone, now: NOW }
    }

    #[test]
    fn what_is_at_work_comes_before_what_would_hold_it_back() {
        let zone = Zone::utc();
        let work = (ComponentNo::new("STM32").unwrap(), ComponentState::Downloading, Some(NOW));
        let held = Some(Held::Offline);
        let ahead = Some(4);
        let all = Grounds { at_work: Some(work), held: held.clone(), ahead, ..grounds(&zone) };
        assert_eq!(Standing::of(all).condition(), "under_way");
        assert_eq!(Standing::of(Grounds { held, ahead, ..grounds(&zone) }).condition(), "offline");
        assert_eq!(Standing::of(Grounds { ahead, ..grounds(&zone) }).condition(), "behind");
        let on_request = Grounds { push: Push::OnRequest, ..grounds(&zone) };
        assert_eq!(Standing::of(on_request).condition(), "on_request_only");
        let due = Standing::of(grounds(&zone));
        assert_eq!(due.may_change(), Some(NOW + Millis::minutes(2)));
        assert_eq!(due.told(&zone, NOW), "nothing holds it back; offered by 14:50 UTC, in 2 min");
    }

    #[test]
    fn a_closed_push_period_is_told_in_the_plans_zone() {
        let zone: Zone = "Asia/Shanghai".parse().unwrap();
        let period = super::super::window::PushPeriod {
            from: "02:00".parse().unwrap(),
            until: "05:00".parse().unwrap(),
        };
        let held = Held::OutsidePeriod { opens: period.opens(NOW, &zone), zone: zone.clone(), period };
        assert_eq!(held.told(&zone, NOW), "push period opens at 02:00 Asia/Shanghai, in 3 h 12 min");
    }
}
