//! Manual mode: what the end user of a device may do with a plan, and why not (DEVELOPER-CENTER.md "End user").

use super::ComponentNo;
use super::applicability::{ComponentFacts, needed};
use super::block_reason::BlockReason;
use super::consent::Appointment;
use super::eligibility::Membership;
use super::plan::{Mode, OutsidePeriod, PlanSettings, PlanState};
use super::progress::{ComponentState, UpgradeState};
use super::upgrade::{Phase, Upgrade, UserAction};
use crate::clock::Millis;

/// Shortest appointed window.
pub const WINDOW_MIN: Millis = Millis::hours(1);

/// What decides whether an action of the end user is allowed.
#[derive(Debug, Clone)]
pub struct UserContext<'a> {
    /// Number of the plan.
    pub plan: i64,
    /// The plan.
    pub settings: &'a PlanSettings,
    /// Its state.
    pub state: PlanState,
    /// Whether its lists include the device.
    pub membership: Membership,
    /// Its components with the versions that the device reported last, on whatever connection.
    pub components: &'a [ComponentFacts],
    /// The upgrade of the device by this plan, if it was offered once.
    pub upgrade: Option<&'a Upgrade>,
    /// The time.
    pub now: Millis,
}

/// Why an action of the end user is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionRefused {
    /// The plan is silent: it has no end user.
    #[error("upgrade plan {plan} is silent: it asks nobody")]
    Silent {
        /// The plan.
        plan: i64,
    },
    /// The plan is not offered to anybody new.
    #[error("upgrade plan {plan} is {state}: only a plan that is activated takes this")]
    PlanState {
        /// The plan.
        plan: i64,
        /// Its state.
        state: PlanState,
    },
    /// The plan brings nothing to the device.
    #[error("upgrade plan {plan} has nothing for this device: {blocked}")]
    NotForDevice {
        /// The plan.
        plan: i64,
        /// The condition.
        blocked: BlockReason,
    },
    /// The device works on it already.
    #[error("component {component} is at {state} already: there is nothing to appoint")]
    AtWork {
        /// The component.
        component: ComponentNo,
        /// Where it is.
        state: ComponentState,
    },
    /// The device is putting the new firmware into place.
    #[error("component {component} is being upgraded with what the device has fetched; nothing stops it now")]
    Applying {
        /// The component.
        component: ComponentNo,
    },
    /// The device is at its end in the plan.
    #[error("the device is at its end in upgrade plan {plan}: {state}{}", because(.reason.as_deref()))]
    Ended {
        /// The plan.
        plan: i64,
        /// How.
        state: UpgradeState,
        /// Why.
        reason: Option<String>,
    },
    /// There is no failure to try again after.
    #[error(
        "nothing has failed for good in upgrade plan {plan} on this device; only a failed upgrade is retried"
    )]
    NotFailed {
        /// The plan.
        plan: i64,
    },
    /// The appointed window is too short.
    #[error(
        "the window from {from} until {until} leaves {minutes} minutes from now on; at least 60 are needed"
    )]
    TooShort {
        /// It opens.
        from: Millis,
        /// It closes.
        until: Millis,
        /// What is left of it, whole minutes.
        minutes: i64,
    },
    /// It opens before the plan does.
    #[error("the window opens at {from}, before the planned time begins at {start}")]
    BeforeStart {
        /// It opens.
        from: Millis,
        /// The plan's start.
        start: Millis,
    },
    /// It closes after the plan does.
    #[error("the window closes at {until}, after the planned time ends at {end}")]
    AfterEnd {
        /// It closes.
        until: Millis,
        /// The plan's end.
        end: Millis,
    },
    /// It never meets the push period.
    #[error("the push period is closed during the whole window from {from}; it opens at {opens}")]
    OutsidePeriod {
        /// It opens.
        from: Millis,
        /// The push period opens.
        opens: Millis,
    },
    /// No plan was named, and none asks for this.
    #[error("no upgrade plan of this device takes this now")]
    NoPlan,
    /// No plan was named, and several could be meant.
    #[error("several upgrade plans take this, {}: say which", numbers(.plans))]
    WhichPlan {
        /// Their numbers.
        plans: Vec<i64>,
    },
}

fn because(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(" ({reason})"))
}

fn numbers(plans: &[i64]) -> String {
    plans.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

impl UserContext<'_> {
    /// Whether the plan brings the device anything, now or later.
    pub fn concerns(&self) -> Result<(), BlockReason> {
        match self.membership {
            Membership::Included => {}
            Membership::Blacklisted => return Err(BlockReason::Blacklisted),
            Membership::NotWhitelisted => return Err(BlockReason::NotWhitelisted),
        }
        if let Some(end) = self.settings.end.filter(|end| self.now >= *end) {
            return Err(BlockReason::AfterEnd { end });
        }
        needed(self.components).map(|_| ())
    }

    /// Whether the end user may do it now; of an appointment, whether any window could do.
    pub fn allows(&self, action: UserAction) -> Result<(), ActionRefused> {
        let plan = self.plan;
        if self.settings.mode == Mode::Silent {
            return Err(ActionRefused::Silent { plan });
        }
        let may_stop = action == UserAction::Cancel && self.state == PlanState::Suspended;
        if !self.state.offers() && !may_stop {
            return Err(ActionRefused::PlanState { plan, state: self.state });
        }
        let current = self.upgrade.and_then(Upgrade::current_component);
        match (Phase::of(self.upgrade), current, action) {
            (Phase::Ended(UpgradeState::Failed), _, UserAction::Retry) => {}
            (_, _, UserAction::Retry) => return Err(ActionRefused::NotFailed { plan }),
            (Phase::Ended(state), ..) => {
                let reason = self.upgrade.and_then(|upgrade| upgrade.reason.clone());
                return Err(ActionRefused::Ended { plan, state, reason });
            }
            // A second confirmation changes nothing.
            (Phase::AtWork, _, UserAction::Confirm) => return Ok(()),
            (Phase::AtWork, Some(current), UserAction::Cancel)
                if current.state == ComponentState::Upgrading =>
            {
                return Err(ActionRefused::Applying { component: current.component.clone() });
            }
            (Phase::AtWork, _, UserAction::Cancel) => return Ok(()),
            (Phase::AtWork, Some(current), UserAction::Appoint) => {
                let component = current.component.clone();
                return Err(ActionRefused::AtWork { component, state: current.state });
            }
            _ => {}
        }
        self.concerns().map_err(|blocked| ActionRefused::NotForDevice { plan, blocked })?;
        match (action, self.settings.end) {
            (UserAction::Appoint, Some(end)) if end - self.opens_at_earliest() < WINDOW_MIN => {
                let from = self.opens_at_earliest();
                let minutes = (end - from).0.max(0) / 60_000;
                Err(ActionRefused::TooShort { from, until: end, minutes })
            }
            _ => Ok(()),
        }
    }

    fn opens_at_earliest(&self) -> Millis {
        self.settings.start.map_or(self.now, |start| start.max(self.now))
    }

    /// Whether the end user may appoint this window: at least an hour of it still to come, inside the planned time, and
    /// not wholly outside the push period.
    pub fn allows_window(&self, window: Appointment) -> Result<(), ActionRefused> {
        self.allows(UserAction::Appoint)?;
        let Appointment { from, until } = window;
        if let Some(start) = self.settings.start.filter(|start| from < *start) {
            return Err(ActionRefused::BeforeStart { from, start });
        }
        if let Some(end) = self.settings.end.filter(|end| until > *end) {
            return Err(ActionRefused::AfterEnd { until, end });
        }
        let left = until - from.max(self.now);
        if left < WINDOW_MIN {
            return Err(ActionRefused::TooShort { from, until, minutes: left.0.max(0) / 60_000 });
        }
        let zone = &self.settings.time_zone;
        if let Some(period) = self.settings.push_period
            && self.settings.outside_period == OutsidePeriod::Silent
        {
            let opens = from.max(self.now);
            if !period.contains(opens, zone) && period.opens(opens, zone) >= until {
                return Err(ActionRefused::OutsidePeriod { from, opens: period.opens(opens, zone) });
            }
        }
        Ok(())
    }

    /// Everything that the end user may do now.
    pub fn actions(&self) -> Vec<UserAction> {
        UserAction::ALL.iter().copied().filter(|action| self.allows(*action).is_ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::consent::{Answer, AutoConfirm, Consent, consent};
    use crate::rules::samples;
    use crate::rules::window::{PushPeriod, TimeOfDay};
    use crate::rules::{ProductKey, Title};

    const NOW: Millis = Millis(1_772_359_200_000); // 2026-03-01 10:00 UTC, 11:00 in Berlin

    fn settings() -> PlanSettings {
        let zone = "Europe/Berlin".parse().unwrap();
        let product = ProductKey::new("p1abcd").unwrap();
        let mut settings = PlanSettings::new(Title::new("spring").unwrap(), product, zone, Vec::new());
        settings.mode = Mode::Manual;
        settings
    }

    fn facts(reported: &str) -> [ComponentFacts; 1] {
        [samples::facts("STM32", Some(reported), None, "2")]
    }

    fn context<'a>(settings: &'a PlanSettings, components: &'a [ComponentFacts]) -> UserContext<'a> {
        UserContext {
            plan: 3,
            settings,
            state: PlanState::Activated,
            membership: Membership::Included,
            components,
            upgrade: None,
            now: NOW,
        }
    }

    fn at_work(state: ComponentState) -> Option<Upgrade> {
        Some(samples::upgrade(&[state], NOW))
    }

    fn ended(state: UpgradeState) -> Option<Upgrade> {
        Some(samples::ended(state, NOW))
    }

    #[test]
    fn what_the_user_may_do_depends_on_how_far_the_device_is() {
        use UserAction::*;
        let (settings, facts) = (settings(), facts("1"));
        let actions = |upgrade: Option<Upgrade>, state| {
            UserContext { upgrade: upgrade.as_ref(), state, ..context(&settings, &facts) }.actions()
        };
        let upgrading = PlanState::Upgrading;
        assert_eq!(actions(None, upgrading), [Confirm, Appoint, Cancel]);
        assert_eq!(actions(at_work(ComponentState::Downloading), upgrading), [Confirm, Cancel]);
        assert_eq!(actions(at_work(ComponentState::Upgrading), upgrading), [Confirm]);
        assert_eq!(actions(ended(UpgradeState::Failed), upgrading), [Retry]);
        assert_eq!(actions(ended(UpgradeState::Upgraded), upgrading), []);
        assert_eq!(actions(None, PlanState::Suspended), [Cancel]);
        for over in [PlanState::Saved, PlanState::Terminated, PlanState::Ended] {
            assert_eq!(actions(None, over), [], "{over}");
        }
    }

    #[test]
    fn a_plan_that_brings_the_device_nothing_takes_no_word_and_says_why() {
        let (settings, at_target) = (settings(), facts("2"));
        let refused = context(&settings, &at_target).allows(UserAction::Confirm).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "upgrade plan 3 has nothing for this device: every component has its target version"
        );
        let facts = facts("1");
        for membership in [Membership::Blacklisted, Membership::NotWhitelisted] {
            let refused = UserContext { membership, ..context(&settings, &facts) }.actions();
            assert_eq!(refused, []);
        }
        let mut silent = settings.clone();
        silent.mode = Mode::Silent;
        let refused = context(&silent, &facts).allows(UserAction::Cancel).unwrap_err();
        assert_eq!(refused.to_string(), "upgrade plan 3 is silent: it asks nobody");
    }

    #[test]
    fn a_window_is_an_hour_long_inside_the_plan_and_meets_the_push_period() {
        let mut settings = settings();
        let facts = facts("1");
        let hour = |hours: i64| NOW + Millis::hours(hours);
        settings.start = Some(hour(1));
        settings.end = Some(hour(40));
        let allows = |settings: &PlanSettings, from, until| {
            context(settings, &facts).allows_window(Appointment { from, until }).map_err(|no| no.to_string())
        };
        assert_eq!(allows(&settings, hour(1), hour(2)), Ok(()));
        assert_eq!(
            allows(&settings, hour(2), hour(3) - Millis(1)).unwrap_err(),
            "the window from 2026-03-01T12:00:00Z until 2026-03-01T12:59:59.999Z leaves 59 minutes from now on; at \
             least 60 are needed"
        );
        assert_eq!(
            allows(&settings, NOW, hour(2)).unwrap_err(),
            "the window opens at 2026-03-01T10:00:00Z, before the planned time begins at 2026-03-01T11:00:00Z"
        );
        assert_eq!(
            allows(&settings, hour(39), hour(41)).unwrap_err(),
            "the window closes at 2026-03-03T03:00:00Z, after the planned time ends at 2026-03-03T02:00:00Z"
        );
        settings.start = None;
        assert!(
            allows(&settings, hour(-5), hour(0) + Millis::minutes(59)).unwrap_err().contains("59 minutes")
        );
        assert_eq!(allows(&settings, hour(-5), hour(1)), Ok(()), "an hour of it is still to come");
        assert!(allows(&settings, hour(3), hour(2)).unwrap_err().contains("0 minutes"));
        // 23:00 to 04:00 in Berlin is 22:00 to 03:00 UTC.
        settings.push_period =
            Some(PushPeriod { from: "23:00".parse().unwrap(), until: "04:00".parse().unwrap() });
        assert_eq!(
            allows(&settings, hour(1), hour(12)).unwrap_err(),
            "the push period is closed during the whole window from 2026-03-01T11:00:00Z; it opens at \
             2026-03-01T22:00:00Z"
        );
        assert_eq!(allows(&settings, hour(1), hour(12) + Millis(1)), Ok(()));
        settings.outside_period = OutsidePeriod::Answer;
        assert_eq!(allows(&settings, hour(1), hour(12)), Ok(()));
    }

    #[test]
    fn nothing_can_be_appointed_in_the_last_hour_of_a_plan() {
        let (mut settings, facts) = (settings(), facts("1"));
        settings.end = Some(NOW + Millis::minutes(59));
        assert_eq!(context(&settings, &facts).actions(), [UserAction::Confirm, UserAction::Cancel]);
        settings.end = Some(NOW);
        assert_eq!(context(&settings, &facts).actions(), []);
    }

    fn upgrades() -> impl Strategy<Value = Option<Upgrade>> {
        prop_oneof![
            Just(None),
            prop::sample::select(ComponentState::ALL)
                .prop_filter("in flight", |state| state.is_in_flight())
                .prop_map(at_work),
            prop::sample::select(UpgradeState::ALL).prop_map(ended),
        ]
    }

    fn appointments() -> impl Strategy<Value = Appointment> {
        (-3_000i64..3_000, -100i64..3_000).prop_map(|(from, long)| {
            let from = NOW + Millis::minutes(from);
            Appointment { from, until: from + Millis::minutes(long) }
        })
    }

    proptest! {
        #[test]
        fn consent_is_never_given_by_nobody(
            answer in proptest::option::of(prop_oneof![
                Just(Answer::Confirmed), appointments().prop_map(Answer::Appointed)
            ]),
            auto in prop::sample::select(AutoConfirm::ALL),
        ) {
            let given = consent(answer, auto, NOW);
            match answer {
                Some(Answer::Confirmed) => prop_assert_eq!(given, Consent::Given),
                Some(Answer::Appointed(window)) if auto == AutoConfirm::Off || NOW < window.until => {
                    prop_assert_eq!(given, Consent::Appointed { from: window.from, until: window.until });
                }
                _ => prop_assert_eq!(given == Consent::Given, auto == AutoConfirm::On),
            }
        }

        #[test]
        fn a_window_that_is_taken_can_be_used(
            window in appointments(),
            start in proptest::option::of(-1_000i64..1_000),
            end in proptest::option::of(0i64..3_000),
            period in proptest::option::of((0i64..1440, 1i64..1440)),
        ) {
            let (mut settings, facts) = (settings(), facts("1"));
            settings.start = start.map(|start| NOW + Millis::minutes(start));
            settings.end = end.map(|end| NOW + Millis::minutes(end));
            settings.push_period = period.map(|(from, long)| PushPeriod {
                from: TimeOfDay::from_minutes(from).unwrap(),
                until: TimeOfDay::from_minutes((from + long) % 1440).unwrap(),
            });
            let taken = context(&settings, &facts).allows_window(window).is_ok();
            // Against a look at every minute of it.
            let minutes = (window.from.max(NOW).0..window.until.0).step_by(60_000).map(Millis);
            let usable = |at: &Millis| {
                settings.start.is_none_or(|start| start <= *at) && settings.end.is_none_or(|end| *at < end)
            };
            let open = |at: &Millis| {
                settings.push_period.is_none_or(|period| period.contains(*at, &settings.time_zone))
            };
            let inside = settings.start.is_none_or(|start| start <= window.from)
                && settings.end.is_none_or(|end| window.until <= end);
            let expected = inside && minutes.clone().filter(usable).count() >= 60 && minutes.clone().any(|at| open(&at));
            prop_assert_eq!(taken, expected);
        }

        #[test]
        fn an_action_is_allowed_only_where_it_can_do_something(
            upgrade in upgrades(),
            state in prop::sample::select(PlanState::ALL),
            reported in prop::sample::select(&["1", "2"][..]),
            action in prop::sample::select(UserAction::ALL),
        ) {
            let (settings, facts) = (settings(), facts(reported));
            let context = UserContext { upgrade: upgrade.as_ref(), state, ..context(&settings, &facts) };
            let phase = Phase::of(upgrade.as_ref());
            if context.allows(action).is_ok() {
                prop_assert!(!state.is_over() && state != PlanState::Saved);
                prop_assert!(state.offers() || action == UserAction::Cancel, "{state} {action}");
                prop_assert_eq!(action == UserAction::Retry, matches!(phase, Phase::Ended(_)));
                let is_at_work = phase == Phase::AtWork;
                prop_assert!(reported == "1" || is_at_work);
            }
        }
    }
}
