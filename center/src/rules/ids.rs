//! Numbers that the store gives.

/// A row's number: its own type for each table, so that one is never taken for another.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
            #[serde(transparent)]
            #[schemars(inline)]
            pub struct $name(pub i64);
        )+
    };
}

ids! {
    /// Number of a device.
    DeviceId,
    /// Number of a version package.
    PackageId,
    /// Number of an upgrade plan.
    PlanId,
    /// Number of a device upgrade.
    UpgradeId,
    /// Number of a webhook.
    WebhookId,
    /// Number of a message to a webhook.
    DeliveryId,
}
