//! Faults of the world, by chance and by seed: bad links, bad servers, bad flash, bad clocks.
//!
//! [`Faults`] says which, as a short text: `drop-link=2%,corrupt=0.01%,slow=20kB/s,seed=7`. [`Faulty`] is an ordinary
//! wrapper around any platform, for what the agent asks of it; [`Incoming`] passes on what comes the other way. The same
//! seed and the same course of things give the same faults.

mod incoming;
mod platform;
mod random;
mod text;

pub use incoming::{Deliver, Incoming, Message};
pub use platform::Faulty;
pub use text::{Chance, Fault, Faults, FaultsError, Struck};
