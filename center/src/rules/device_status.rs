//! The status of a device in a plan, in words, and what may change it.

use super::block_reason::BlockReason;
use super::names::ComponentNo;
use super::plan::Push;
use super::progress::ComponentState;
use super::window::Zone;
use crate::clock::Millis;

/// The status of a device in a plan now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceStatus {
    /// It was offered the plan, or is at work.
    UnderWay {
        /// The current component.
        component: ComponentNo,
        /// Where it is.
        state: ComponentState,
        /// Until when the device must be heard of.
        until: Option<Millis>,
    },
    /// A condition blocks it.
    Blocked(BlockReason),
    /// Another plan has the device, or comes first.
    Behind {
        /// That plan.
        plan: i64,
    },
    /// Nothing blocks it: it waits for the center's next evaluation.
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

/// What the status of a device follows from.
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

    /// The condition in one word, without its values.
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
