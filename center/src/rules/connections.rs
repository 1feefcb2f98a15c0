//! When a device was online before: its last connections, kept with the device itself.

use std::fmt;
use std::str::FromStr;

use crate::clock::Millis;

/// Connections that are kept of a device.
pub const KEPT: usize = 10;

/// A connection that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastConnection {
    /// When it began.
    pub from: Millis,
    /// When it ended.
    pub until: Millis,
}

/// The connections before the device's last one, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PastConnections(Vec<PastConnection>);

impl PastConnections {
    /// One more; the oldest of too many goes.
    pub fn add(&mut self, from: Millis, until: Millis) {
        self.0.push(PastConnection { from, until });
        let surplus = self.0.len().saturating_sub(KEPT);
        self.0.drain(..surplus);
    }

    /// Each of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &PastConnection> {
        self.0.iter()
    }
}

/// As it is stored: `FROM-UNTIL,FROM-UNTIL` in milliseconds.
impl fmt::Display for PastConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, PastConnection { from, until }) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}-{}", from.0, until.0)?;
        }
        Ok(())
    }
}

/// A text that is no list of connections.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: connections are FROM-UNTIL,FROM-UNTIL in milliseconds")]
pub struct InvalidConnections(String);

impl FromStr for PastConnections {
    type Err = InvalidConnections;

    fn from_str(text: &str) -> Result<Self, InvalidConnections> {
        let one = |part: &str| {
            let (from, until) = part.split_once('-')?;
            Some(PastConnection { from: Millis(from.parse().ok()?), until: Millis(until.parse().ok()?) })
        };
        let parts = text.split(',').filter(|part| !part.is_empty());
        let parsed: Option<Vec<_>> = parts.map(one).collect();
        parsed.map(Self).ok_or_else(|| InvalidConnections(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_connections_are_kept_and_stored_as_they_are() {
        let mut past = PastConnections::default();
        assert_eq!(past.to_string(), "");
        for number in 0..25 {
            past.add(Millis(number * 10), Millis(number * 10 + 5));
        }
        assert_eq!(past.iter().count(), KEPT);
        assert_eq!(past.iter().next_back(), Some(&PastConnection { from: Millis(240), until: Millis(245) }));
        assert_eq!(past.to_string().parse(), Ok(past));
        assert_eq!("".parse(), Ok(PastConnections::default()));
        for wrong in ["5", "1-x", "1-2,,3"] {
            assert!(wrong.parse::<PastConnections>().is_err(), "{wrong}");
        }
    }
}
