//! Version packages as files: what may be uploaded, where it is kept, and how devices download it.
//!
//! [`mod@format`] is the rule book of an upload, [`object_store`] keeps contents by their SHA-256 and so each content
//! once, [`signature`] makes and checks the URLs that devices are given ([`url`]), [`download`] answers them by ranges, most of
//! them by [`file_server`].

pub mod download;
pub mod file_server;
pub mod format;
pub mod object_store;
pub mod progress;
pub mod range;
pub mod signature;
pub mod url;
