//! Version packages.

pub mod list;
pub mod show;
pub mod upload;
