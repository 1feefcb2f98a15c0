//! Version packages as files: what may be uploaded, where it is kept, and how devices download it.
//!
//! [`format`] is the rule book of an upload, [`depot`] keeps contents by their SHA-256 and so each content
//! once, [`signature`] makes and checks the URLs that devices are given ([`url`]), [`download`] answers them by ranges.

pub mod download;
pub mod format;
pub mod object_store;
pub mod range;
pub mod signature;
pub mod url;
