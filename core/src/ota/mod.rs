//! One upgrade: state machine, pieces, digests, journal. Sans-I/O; storage comes in as an argument.

pub mod digest;
pub mod journal;
mod machine;
pub mod package;
pub mod staging;
pub mod table;
pub mod timer;

pub use machine::{Demands, Failure, Fetch, Image, Machine, NotNow, Piece};
pub use table::{Effect, Input, Row, State, Told};
pub use timer::Timer;
