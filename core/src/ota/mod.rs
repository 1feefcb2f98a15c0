//! ota

pub mod digest;
pub mod staging;
