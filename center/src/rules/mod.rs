//! What may happen, and if not, why not: pure functions of (plan, device, history, now).
//!
//! Nothing here asks for the time, the database or the network. The engine, the API's explanations and the tests use
//! the same functions.

/// An enum whose values have one name each in the database, in JSON and in logs.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$value_doc:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$value_doc])* #[serde(rename = $word)] $value,)+
        }

        impl $name {
            /// Every value, in the order of the tables.
            pub const ALL: &'static [$name] = &[$($name::$value,)+];

            /// Its name.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$value => $word,)+ }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": [$($word),+] })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::rules::names::NameError;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok($name::$value),)+
                    _ => Err(crate::rules::names::NameError {
                        what: $what,
                        value: word.to_owned(),
                        rule: concat!("one of:" $(, " ", $word)+),
                    }),
                }
            }
        }
    };
}

pub mod access;
pub mod applicability;
pub mod audit;
pub mod block_reason;
pub mod component_fsm;
pub mod connections;
pub mod consent;
pub mod device;
pub mod device_list;
pub mod device_status;
pub mod eligibility;
pub mod forecast;
mod ids;
pub mod language;
pub mod limits;
pub mod manual;
pub mod module_version;
pub mod names;
pub mod operator;
pub mod plan;
pub mod progress;
pub mod readings;
#[cfg(test)]
pub(crate) mod samples;
pub mod takeover;
pub mod trigger;
pub mod upgrade;
pub mod verification;
pub mod webhook;
pub mod window;

pub use ids::{DeliveryId, DeviceId, PackageId, PlanId, UpgradeId, WebhookId};
pub use names::{
    AccountName, ComponentNo, DeviceKey, DeviceSecret, FileName, NameError, ProductKey, ProductSecret,
    Remark, Title, TokenName, Version,
};

words! {
    /// What a component is (DEVELOPER-CENTER.md "Things").
    ComponentKind, "component type" {
        /// Module firmware (FOTA), type 0 on the wire.
        Module = "module",
        /// MCU firmware (SOTA), type 1 on the wire.
        Mcu = "mcu",
    }
}

words! {
    /// Which devices a product takes at their first connect.
    Admission, "admission" {
        /// Every device that proves the product secret.
        Anyone = "anyone",
        /// Only devices that the operator has entered before.
        KnownOnly = "known_only",
    }
}
