//! Arguments that several commands take.

pub(super) mod device_keys;
pub(super) mod moment;
pub(super) mod window;
