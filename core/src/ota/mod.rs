//! One upgrade: states, timers, download. Sans-I/O: time and storage come in as arguments.

pub mod download;
mod failure;
mod machine;
pub mod package;
pub mod staging;
pub mod table;
pub mod timer;

pub use crate::image::{Image, Piece, PlanRequirements};
pub use download::Download;
pub use failure::Failure;
pub use machine::{Following, InvalidState, Machine, Offer};
pub use table::{Effect, Input, OtaEvent, Row, State};
pub use timer::Timer;
