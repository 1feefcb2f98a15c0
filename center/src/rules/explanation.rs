//! Why a device is where it is in a plan, in words, and what may change it.

use super::eligibility::{BlockReason, Verifying, Wait};
use super::names::ComponentNo;
use super::plan::Push;
use super::progress::ComponentState;
use super::window::Zone;
use crate::clock::Millis;

/// Where a device stands in a plan now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceStatus {
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
    Blocked(BlockReason),
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
pub struct StatusInput<'a> {
    /// The component at work, its state and its lease, if the plan's upgrade has the device busy.
    pub at_work: Option<(ComponentNo, ComponentState, Option<Millis>)>,
    /// What [`super::eligibility::offer`] says.
    pub blocked: Option<BlockReason>,
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

impl DeviceStatus {
    /// The standing that follows from `grounds`.
    pub fn of(grounds: StatusInput<'_>) -> Self {
        match grounds {
            StatusInput { at_work: Some((component, state, until)), .. } => {
                DeviceStatus::UnderWay { component, state, until }
            }
            StatusInput { blocked: Some(blocked), .. } => DeviceStatus::Blocked(blocked),
            StatusInput { ahead: Some(plan), .. } => DeviceStatus::Behind { plan },
            StatusInput { push: Push::OnRequest, .. } => DeviceStatus::Blocked(BlockReason::OnRequestOnly),
            StatusInput { zone, now, asks, .. } => DeviceStatus::Due { at: zone.next_mark(now), asks },
        }
    }

    /// One word for it, the same for all devices of which the same is true.
    pub fn condition(&self) -> &'static str {
        match self {
            DeviceStatus::UnderWay { .. } => "under_way",
            DeviceStatus::Blocked(blocked) => blocked.condition(),
            DeviceStatus::Behind { .. } => "behind",
            DeviceStatus::Due { .. } => "due",
        }
    }

    /// When it may change by itself; none: only by an event.
    pub fn may_change(&self) -> Option<Millis> {
        match self {
            DeviceStatus::UnderWay { until, .. } => *until,
            DeviceStatus::Blocked(blocked) => blocked.may_change(),
            DeviceStatus::Behind { .. } => None,
            DeviceStatus::Due { at, .. } => Some(*at),
        }
    }

    /// What changes it.
    pub fn changes_with(&self) -> &'static str {
        match self {
            DeviceStatus::UnderWay { .. } => "the device's next report, or the end of this time",
            DeviceStatus::Blocked(blocked) => blocked.changes_with(),
            DeviceStatus::Behind { .. } => "the other plan's end on this device",
            DeviceStatus::Due { .. } => "the next 10-minute mark, or the device's request or connect",
        }
    }

    /// The sentence for people, with its values and its times in `zone`.
    pub fn told(&self, zone: &Zone, now: Millis) -> String {
        match self {
            DeviceStatus::UnderWay { component, state, until } => {
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
            DeviceStatus::Blocked(blocked) => blocked.told(zone, now),
            DeviceStatus::Behind { plan } => format!("plan {plan} comes first on this device"),
            DeviceStatus::Due { at, asks: Asks::First } => {
                format!(
                    "nothing known holds it back; asked for battery and signal by {}",
                    zone.told(*at, now)
                )
            }
            DeviceStatus::Due { at, asks: Asks::Nothing } => {
                format!("nothing holds it back; offered by {}", zone.told(*at, now))
            }
        }
    }
}

impl BlockReason {
    /// One word for the condition, whatever its values.
    pub fn condition(&self) -> &'static str {
        match self {
            BlockReason::OtherProduct { .. } => "other_product",
            BlockReason::Blacklisted => "blacklisted",
            BlockReason::NotWhitelisted => "not_whitelisted",
            BlockReason::Finished { .. } => "finished",
            BlockReason::PlanState { .. } => "plan_state",
            BlockReason::OnRequestOnly => "on_request_only",
            BlockReason::BeforeStart { .. } => "before_start",
            BlockReason::AfterEnd { .. } => "after_end",
            BlockReason::OutsidePeriod { .. } => "outside_push_period",
            BlockReason::Offline => "offline",
            BlockReason::VersionsUnknown => "versions_unknown",
            BlockReason::AtTarget => "at_target",
            BlockReason::ComponentUnknown { .. } => "component_unknown",
            BlockReason::SourceDiffers { .. } => "source_differs",
            BlockReason::Superseded { .. } => "superseded",
            BlockReason::RetriesUsed { .. } => "retries_used",
            BlockReason::Waiting { wait: Wait::Refusal, .. } => "refused",
            BlockReason::Waiting { wait: Wait::Failure, .. } => "failed_waiting",
            BlockReason::OtherUpgrade { .. } => "other_upgrade",
            BlockReason::Verification(_) => "verification",
            BlockReason::AwaitingUser { .. } => "awaiting_user",
            BlockReason::Appointed { .. } => "appointed",
            BlockReason::FirstDevices { .. } => "first_devices",
            BlockReason::InFlight { .. } => "in_flight_limit",
            BlockReason::PerMinute { .. } => "per_minute_limit",
            BlockReason::Battery { .. } => "battery",
            BlockReason::Rsrp { .. } => "rsrp",
        }
    }

    /// What ends the condition.
    pub fn changes_with(&self) -> &'static str {
        match self {
            BlockReason::OtherProduct { .. }
            | BlockReason::Blacklisted
            | BlockReason::NotWhitelisted
            | BlockReason::AfterEnd { .. }
            | BlockReason::Superseded { .. } => "nothing in this plan",
            BlockReason::Finished { .. } | BlockReason::RetriesUsed { .. } => {
                "nothing by itself: the device is final here"
            }
            BlockReason::PlanState { .. } => "the operator's resuming the plan",
            BlockReason::OnRequestOnly => "the device's request",
            BlockReason::BeforeStart { .. }
            | BlockReason::OutsidePeriod { .. }
            | BlockReason::Waiting { .. } => "time",
            BlockReason::Offline => "the device's connect",
            BlockReason::VersionsUnknown => {
                "the device's version report; it is asked at the next 10-minute mark"
            }
            BlockReason::AtTarget
            | BlockReason::ComponentUnknown { .. }
            | BlockReason::SourceDiffers { .. } => "another version reported by the device",
            BlockReason::OtherUpgrade { .. } => "the end of that upgrade",
            BlockReason::Verification(_) => "the end of the firmware verification",
            BlockReason::AwaitingUser { .. } => "the end user's confirmation or appointment",
            BlockReason::Appointed { .. } => "time, or the end user",
            BlockReason::FirstDevices { .. } => "the end of the first devices",
            BlockReason::InFlight { .. } => "the end of another device",
            BlockReason::PerMinute { .. } => "time",
            BlockReason::Battery { .. } | BlockReason::Rsrp { .. } => "a better value reported by the device",
        }
    }

    /// The sentence for people, with times in `zone` and the span until then.
    pub fn told(&self, zone: &Zone, now: Millis) -> String {
        match self {
            BlockReason::BeforeStart { start } => {
                format!("planned time begins at {}", zone.told(*start, now))
            }
            BlockReason::AfterEnd { end } => format!("planned time ended at {}", zone.told(*end, now)),
            BlockReason::OutsidePeriod { opens, .. } => {
                format!("push period opens at {}", zone.told(*opens, now))
            }
            BlockReason::Waiting { wait: Wait::Refusal, until } => {
                format!("the device refused; offered again at {}", zone.told(*until, now))
            }
            BlockReason::Waiting { wait: Wait::Failure, until } => {
                format!("an attempt failed; offered again at {}", zone.told(*until, now))
            }
            BlockReason::Verification(Verifying { verification, package, until }) => {
                let until = zone.told(*until, now);
                format!(
                    "firmware verification {verification} of version package {package} has the device, until {until} \
                     at the latest"
                )
            }
            BlockReason::AwaitingUser { missed: Some(until) } => format!(
                "waits for the user's confirmation: the appointed window closed at {}",
                zone.told(*until, now)
            ),
            BlockReason::Appointed { from, .. } => format!("appointed for {}", zone.told(*from, now)),
            BlockReason::PerMinute { limit, until } => {
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

    fn grounds(zone: &Zone) -> StatusInput<'_> {
        let (push, asks) = (Push::Actively, Asks::Nothing);
        StatusInput { at_work: None, blocked: None, ahead: None, asks, push, zone, now: NOW }
    }

    #[test]
    fn what_is_at_work_comes_before_what_would_hold_it_back() {
        let zone = Zone::utc();
        let work = (ComponentNo::new("STM32").unwrap(), ComponentState::Downloading, Some(NOW));
        let blocked = Some(BlockReason::Offline);
        let ahead = Some(4);
        let all = StatusInput { at_work: Some(work), blocked: blocked.clone(), ahead, ..grounds(&zone) };
        assert_eq!(DeviceStatus::of(all).condition(), "under_way");
        assert_eq!(DeviceStatus::of(StatusInput { blocked, ahead, ..grounds(&zone) }).condition(), "offline");
        assert_eq!(DeviceStatus::of(StatusInput { ahead, ..grounds(&zone) }).condition(), "behind");
        let on_request = StatusInput { push: Push::OnRequest, ..grounds(&zone) };
        assert_eq!(DeviceStatus::of(on_request).condition(), "on_request_only");
        let due = DeviceStatus::of(grounds(&zone));
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
        let blocked =
            BlockReason::OutsidePeriod { opens: period.opens(NOW, &zone), zone: zone.clone(), period };
        assert_eq!(blocked.told(&zone, NOW), "push period opens at 02:00 Asia/Shanghai, in 3 h 12 min");
    }
}
