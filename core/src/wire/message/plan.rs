//! 0x0111: there is an upgrade for the device.

use super::{Field, Fields, MessageError, Record, Records, RecordsIter, WriteFields, field, finish};
use crate::{
    limits,
    wire::{NoRoom, ttlv::Writer},
};

pub(super) const COMPONENT: Field = field(4, "component");
pub(super) const SOURCE: Field = field(5, "source version");
pub(super) const TARGET: Field = field(6, "target version");
pub(super) const KIND: Field = field(7, "component type");
const BATTERY: Field = field(8, "minimum battery");
const SPACE: Field = field(9, "needed space");
const SIGNAL: Field = field(10, "minimum signal");
const HANDLING: Field = field(27, "handle type");
const LIST: Field = field(28, "plan list");

/// Whose firmware it is. Module firmware is taken over by the platform (FOTA), that of an MCU by the application
/// (SOTA).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ComponentKind {
    /// The module itself.
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
    pub const fn from_number(number: u64) -> Option<ComponentKind> {
        match number {
            0 => Some(ComponentKind::Module),
            1 => Some(ComponentKind::Mcu),
            _ => None,
        }
    }

    /// 0 when it is absent, as every number of a plan.
    pub(super) fn read(fields: &mut Fields<'_>) -> ComponentKind {
        fields.meaning(&KIND, ComponentKind::from_number).unwrap_or(ComponentKind::Module)
    }
}

/// One component's upgrade. Numbers that are absent on the wire are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl<'a> Record<'a> for Plan<'a> {
    fn read(fields: &mut Fields<'a>) -> Self {
        Plan {
            component: fields.needed_text(&COMPONENT, limits::COMPONENT),
            source: fields.text(&SOURCE, limits::VERSION),
            target: fields.needed_text(&TARGET, limits::VERSION),
            kind: ComponentKind::read(fields),
            battery: fields.whole(&BATTERY, 0).unwrap_or(0),
            space: fields.whole(&SPACE, 0).unwrap_or(0),
            signal: fields.whole(&SIGNAL, i32::MIN.into()).unwrap_or(0),
        }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer
            .text_unless_empty(COMPONENT, self.component)
            .text_unless_empty(SOURCE, self.source)
            .text_unless_empty(TARGET, self.target)
            .number(KIND.id, self.kind.number())
            .number(BATTERY.id, self.battery)
            .number(SPACE.id, self.space)
            .number(SIGNAL.id, self.signal);
    }
}

/// 0x0111.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl<'a> PlanNotify<'a> {
    /// Reads the payload; one bad plan refuses the list whole.
    pub fn parse(payload: &'a [u8]) -> Result<PlanNotify<'a>, MessageError> {
        let mut fields = Fields::parse(payload);
        let handling = fields.whole(&HANDLING, 0);
        let plans = match Records::read(&mut fields, &LIST, limits::PLAN_LIST) {
            Some(plans) => Plans::List(plans),
            None => Plans::Single(Plan::read(&mut fields)),
        };
        fields.finish(PlanNotify { handling, plans })
    }

    /// Writes the payload; gives its length.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        if let Plans::Single(plan) = &self.plans {
            plan.write(&mut writer);
        }
        if let Some(handling) = self.handling {
            writer.number(HANDLING.id, handling);
        }
        if let Plans::List(plans) = &self.plans {
            plans.write(LIST, &mut writer);
        }
        finish(&mut writer)
    }

    /// The plans in order, whatever their form.
    pub fn iter(&self) -> RecordsIter<'_, Plan<'_>> {
        match &self.plans {
            Plans::Single(plan) => RecordsIter::Given(core::slice::from_ref(plan).iter()),
            Plans::List(plans) => plans.iter(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

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
        assert_eq!(error, MessageError::TooLong { field: COMPONENT, offset: 5, length: 33, max: 32 });
    }

    #[test]
    fn one_bad_plan_refuses_the_list() {
        let plans = [MCU, Plan { target: "", ..MCU }];
        let mut out = [0; 256];
        let notify = PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) };
        let length = notify.emit(&mut out).unwrap();
        let error = PlanNotify::parse(out.get(..length).unwrap()).unwrap_err();
        assert!(matches!(error, MessageError::Missing { field: TARGET, offset } if offset > 0), "{error}");
    }

    #[test]
    fn a_list_has_1_to_20_plans() {
        let mut out = [0; 2048];
        for (count, right) in [(0, false), (1, true), (20, true), (21, false)] {
            let plans = std::vec![MCU; count];
            let notify = PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) };
            let length = notify.emit(&mut out).unwrap();
            let parsed = PlanNotify::parse(out.get(..length).unwrap());
            assert_eq!(parsed.is_ok(), right, "{count}");
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
        let error = PlanNotify::parse(b"\x00\x23\x00\x01a\x00\x33\x00\x01b\x00\x3a\x00\x02").unwrap_err();
        assert_eq!(error, MessageError::Unknown { field: KIND, offset: 10, value: 2u8.into() });
    }
}
