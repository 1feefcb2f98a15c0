//! QuecThing OTA without I/O: the part that firmware, the center and the simulator share.
//!
//! Rooms, bottom to top: [`wire`] (codec), [`journal`] (what survives a power cut), [`ota`] and [`cloud`] (sans-I/O
//! state machines), [`agent`] (one device over a [`platform`]). No heap, no panic, no unsafe code; every capacity stands
//! in [`limits`].
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(test)]
extern crate std;

// First: its macro is used below.
#[macro_use]
pub mod text;

pub mod agent;
pub mod clock;
pub mod cloud;
pub mod digest;
pub mod image;
pub mod journal;
pub mod limits;
pub mod ota;
pub mod platform;
pub mod wire;
