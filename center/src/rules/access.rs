//! Who may do what: roles, the products that they reach to, and the devices of an end user.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{DeviceKey, NameError, ProductKey};

words! {
    /// What a person or a program may do. Each role may do all that the ones before it may.
    Role, "role" {
        /// Reads everything but secrets.
        Viewer = "viewer",
        /// Changes products, packages, plans and devices.
        Operator = "operator",
        /// Accounts, tokens, the audit log, and all else.
        Administrator = "administrator",
    }
}

/// Which products a role reaches to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum ProductScope {
    /// These.
    Only(BTreeSet<ProductKey>),
    /// Every one, those that come later too.
    #[default]
    All,
}

impl ProductScope {
    /// Whether the product is one of them.
    #[must_use]
    pub fn allows(&self, product: &ProductKey) -> bool {
        match self {
            ProductScope::All => true,
            ProductScope::Only(products) => products.contains(product),
        }
    }

    /// Whether there is no product that it does not reach to.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == ProductScope::All
    }

    /// Whether everything in `other` is in this one too.
    #[must_use]
    pub fn covers(&self, other: &ProductScope) -> bool {
        match (self, other) {
            (ProductScope::All, _) => true,
            (ProductScope::Only(_), ProductScope::All) => false,
            (ProductScope::Only(ours), ProductScope::Only(theirs)) => theirs.is_subset(ours),
        }
    }
}

/// A device by its two names, written `product/device`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceName {
    /// Product key.
    pub product: ProductKey,
    /// Device key.
    pub device: DeviceKey,
}

impl schemars::JsonSchema for DeviceName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DeviceName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "description": "PRODUCT/DEVICE, the two keys.",
            "pattern": "^[A-Za-z0-9_.:-]{1,32}/[A-Za-z0-9_.:-]{1,32}$",
        })
    }
}

impl std::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.product, self.device)
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> String {
        name.to_string()
    }
}

impl TryFrom<String> for DeviceName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let Some((product, device)) = text.split_once('/') else {
            return Err(NameError { what: "device", value: text, rule: "PRODUCT/DEVICE, the two keys" });
        };
        Ok(Self { product: ProductKey::new(product)?, device: DeviceKey::new(device)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_from_the_least_to_the_most() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Administrator);
    }

    #[test]
    fn a_scope_reaches_to_its_products_and_no_other() {
        let only: ProductScope = serde_json::from_str(r#"["p1"]"#).unwrap();
        let (ours, other) = (ProductKey::new("p1").unwrap(), ProductKey::new("p2").unwrap());
        assert!(only.allows(&ours) && !only.allows(&other));
        assert!(ProductScope::All.allows(&other) && ProductScope::All.covers(&only));
        assert!(!only.covers(&ProductScope::All) && only.covers(&only));
        assert!(only.covers(&ProductScope::Only(BTreeSet::new())));
        assert_eq!(serde_json::to_string(&ProductScope::All).unwrap(), "null");
        assert_eq!(serde_json::from_str::<ProductScope>("null").unwrap(), ProductScope::All);
    }

    #[test]
    fn a_device_name_has_both_keys() {
        let name: DeviceName = serde_json::from_str(r#""p1/860""#).unwrap();
        assert_eq!(name.to_string(), "p1/860");
        for wrong in ["p1", "p1/", "/860", "p1/8/6"] {
            assert!(DeviceName::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
