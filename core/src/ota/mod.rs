//! ota

pub mod digest;
pub mod journal;
pub mod staging;
