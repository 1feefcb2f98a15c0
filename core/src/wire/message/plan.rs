//! 0x0111: there is an upgrade for the device.

use super::{
    Field, Fields, MessageError, Records, RecordsIter, Wanted, field, payload,
    records::HAS_LISTS,
    table::{Outcome, table},
};
use crate::limits;
use crate::wire::ttlv::{List, Writer};

/// Whose firmware it is. Module firmware is taken over by the platform (FOTA), that of an MCU by the application
/// (SOTA).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum ComponentKind {
    /// The module itself.
    #[default]
    Module = 0,
    /// An MCU behind it.
    Mcu = 1,
}

impl ComponentKind {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this number.
    pub const fn from_number(number: u32) -> Option<ComponentKind> {
        match number {
            0 => Some(ComponentKind::Module),
            1 => Some(ComponentKind::Mcu),
            _ => None,
        }
    }
}

/// One component's upgrade. Numbers that are absent on the wire are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan<'a> {
    /// Its identifier, 1..=32 bytes.
    pub component: &'a str,
    /// Version that it has now; empty for "any".
    pub source: &'a str,
    /// Version that it gets, 1..=64 bytes.
    pub target: &'a str,
    /// Whose firmware.
    pub kind: ComponentKind,
    /// Least battery charge, per cent.
    pub battery: u32,
    /// Free space that it takes, bytes.
    pub space: u32,
    /// Weakest signal (RSRP), dBm.
    pub signal: i32,
}

table! { Plan<'a>:
    component: field(4, "component").needed().at_most(limits::COMPONENT),
    source: field(5, "source version").at_most(limits::VERSION),
    target: field(6, "target version").needed().at_most(limits::VERSION),
    kind: field(7, "component type"),
    battery: field(8, "minimum battery"),
    space: field(9, "needed space"),
    signal: field(10, "minimum signal"),
}

/// 0x0111.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanNotify<'a> {
    /// Id 27; from 2.10.6 on, non-zero has a device confirm a single plan for its module by itself.
    pub handling: Option<u32>,
    /// What is to be upgraded.
    pub plans: Plans<'a>,
}

/// The form makes a difference to devices: for a list they tell the application of its answer (10707).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plans<'a> {
    /// One component, its data points at the top.
    Single(Plan<'a>),
    /// Components in the order of their upgrades, 1..=20 of them (id 28).
    List(Records<'a, Plan<'a>>),
}

impl Default for Plans<'_> {
    fn default() -> Self {
        Plans::Single(Plan::default())
    }
}

const LIST: Field = field(28, "plan list");

payload!(PlanNotify<'a>);
table! { PlanNotify<'a>:
    handling: field(27, "handle type"),
    ;
    fn read(&mut self, list: List<'a>) -> Outcome {
        match Records::read(list, &LIST, limits::PLAN_LIST)? {
            Some(plans) => self.plans = Plans::List(plans),
            None => {
                let Plans::Single(plan) = &mut self.plans else { return Ok(()) };
                plan.read(list)?;
            }
        }
        self.read_points(list)
    }

    fn write(&mut self, wanted: Wanted, writer: &mut Writer<'_>) {
        if let Plans::Single(plan) = &mut self.plans {
            plan.write(wanted, writer);
        }
        self.write_points(wanted, writer);
        if let Plans::List(plans) = &self.plans {
            plans.write(&LIST, writer);
        }
    }
}

impl<'a> PlanNotify<'a> {
    /// The plans in order, whatever their form.
    pub fn iter(&self) -> RecordsIter<'a, Plan<'a>> {
        match &self.plans {
            Plans::Single(plan) => RecordsIter::Alone(Some(*plan)),
            Plans::List(plans) if HAS_LISTS => plans.iter(),
            Plans::List(_) => RecordsIter::Alone(None),
        }
    }

    /// How many are listed; 0: a single one.
    pub fn listed(&self) -> usize {
        match &self.plans {
            Plans::List(plans) if HAS_LISTS => plans.iter().count(),
            _ => 0,
        }
    }

    /// The plans of a payload that was parsed before, without checking it again.
    pub fn iter_checked(payload: &'a [u8]) -> RecordsIter<'a, Plan<'a>> {
        let list = List::of_checked(payload);
        match list.list(LIST.id).filter(|_| HAS_LISTS) {
            Some(plans) => RecordsIter::Parsed(plans.iter()),
            None => {
                let mut plan = Plan::default();
                // It was read before.
                let _ = plan.read(list);
                RecordsIter::Alone(Some(plan))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{string::ToString, vec::Vec};

    const MCU: Plan<'_> = Plan {
        component: "STM32",
        source: "1_0_0",
        target: "2_0_0",
        kind: ComponentKind::Mcu,
        battery: 20,
        space: 65536,
        signal: -100,
    };

    fn round(notify: PlanNotify<'_>) {
        let mut out = [0; 512];
        let length = notify.emit(&mut out).unwrap();
        assert_eq!(PlanNotify::parse(out.get(..length).unwrap()), Ok(notify));
    }

    #[test]
    fn single_and_list_keep_their_form() {
        let module = Plan { kind: ComponentKind::Module, source: "", ..MCU };
        round(PlanNotify { handling: None, plans: Plans::Single(MCU) });
        round(PlanNotify { handling: Some(1), plans: Plans::Single(module) });
        if !HAS_LISTS {
            return;
        }
        round(PlanNotify { handling: Some(0), plans: Plans::List(Records::of(&[MCU])) });
        let plans = [module, MCU];
        let list = PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) };
        round(list);
        assert_eq!(list.iter().collect::<Vec<_>>(), [module, MCU]);
    }

    #[test]
    fn a_plan_without_numbers_has_zeros() {
        let plan = PlanNotify::parse(b"\x00\x23\x00\x01a\x00\x33\x00\x01b").unwrap();
        let bare = Plan { component: "a", source: "", target: "b", battery: 0, space: 0, signal: 0, ..MCU };
        assert_eq!(plan.plans, Plans::Single(Plan { kind: ComponentKind::Module, ..bare }));
    }

    #[test]
    fn a_component_name_over_32_bytes_is_refused_with_its_length() {
        let mut out = [0; 128];
        let length = Writer::new(&mut out).text(6, "2").text(4, &"x".repeat(33)).finish().unwrap();
        let error = PlanNotify::parse(out.get(..length).unwrap()).unwrap_err();
        let words = error.in_words(out.get(..length).unwrap()).to_string();
        assert_eq!(words, "component (id 4) at byte 5 has 33 bytes; at most 32 are right");
    }

    #[test]
    #[cfg(feature = "lists")]
    fn one_bad_plan_refuses_the_list() {
        let plans = [MCU, Plan { target: "", ..MCU }];
        let mut out = [0; 256];
        let notify = PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) };
        let length = notify.emit(&mut out).unwrap();
        let error = PlanNotify::parse(out.get(..length).unwrap()).unwrap_err();
        assert_eq!(error.field(), Some((6, super::super::Wrong::Missing)));
        let words = error.in_words(out.get(..length).unwrap()).to_string();
        assert_eq!(words, "target version (id 6) is missing in the list at byte 57");
    }

    #[test]
    fn a_list_has_1_to_20_plans_and_is_refused_where_lists_are_left_out() {
        let mut out = [0; 2048];
        for (count, right) in [(0, false), (1, true), (20, true), (21, false)] {
            let plans = std::vec![MCU; count];
            let notify = PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) };
            let length = notify.emit(&mut out).unwrap();
            let parsed = PlanNotify::parse(out.get(..length).unwrap());
            assert_eq!(parsed.is_ok(), right && HAS_LISTS, "{count}");
        }
    }

    #[test]
    fn unknown_ids_pass_by() {
        let mut out = [0; 64];
        let mut writer = Writer::new(&mut out);
        writer.open(8000).text(1, "new").close().text(4, "a").text(6, "b").number(8191, 1u8);
        let length = writer.finish().unwrap();
        let plan = PlanNotify::parse(out.get(..length).unwrap()).unwrap();
        assert_eq!(plan.iter().next().map(|plan| plan.component), Some("a"));
    }

    #[test]
    fn an_unknown_component_type_is_refused() {
        let payload = b"\x00\x23\x00\x01a\x00\x33\x00\x01b\x00\x3a\x00\x02";
        let words = PlanNotify::parse(payload).unwrap_err().in_words(payload).to_string();
        assert_eq!(words, "component type (id 7) at byte 10 is 2, which has no meaning");
    }
}
