//! Which faults, and how often, as a text.

use core::fmt;
use core::str::FromStr;

/// How likely something is, in parts of a billion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Chance(u64);

impl Chance {
    /// Not at all.
    pub const NEVER: Chance = Chance(0);
    /// Parts of what always happens.
    pub(crate) const CERTAIN: u64 = 1_000_000_000;

    /// Parts of a million; more than a million is always.
    pub const fn per_million(parts: u32) -> Self {
        let parts = parts as u64 * 1_000;
        Chance(if parts > Self::CERTAIN { Self::CERTAIN } else { parts })
    }

    pub(crate) const fn parts(self) -> u64 {
        self.0
    }
}

/// What goes wrong by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// The MQTT connection breaks; drawn at each packet and acknowledgement that comes.
    DropLink,
    /// A packet comes twice.
    Duplicate,
    /// A packet comes after the one behind it.
    Reorder,
    /// No acknowledgement comes for what was sent.
    LoseAck,
    /// The transport does not start what it is asked for.
    Refuse,
    /// The server answers 503.
    Status,
    /// The server answers with another range than it was asked for, or with the whole file.
    WrongRange,
    /// The body ends early; drawn at each chunk.
    Short,
    /// The body goes on behind its end.
    Long,
    /// Nothing more of the body comes, and no end; drawn at each chunk.
    Stall,
    /// A byte of the body is another; drawn at each byte.
    Corrupt,
    /// A write, erase or sync fails.
    WriteFail,
    /// No room is left in the image area, for this and the next writes.
    Full,
    /// The clock is another by up to ten minutes, forwards or back; drawn at each reading.
    ClockJump,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 14] = [
        Fault::DropLink,
        Fault::Duplicate,
        Fault::Reorder,
        Fault::LoseAck,
        Fault::Refuse,
        Fault::Status,
        Fault::WrongRange,
        Fault::Short,
        Fault::Long,
        Fault::Stall,
        Fault::Corrupt,
        Fault::WriteFail,
        Fault::Full,
        Fault::ClockJump,
    ];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::DropLink => "drop-link",
            Fault::Duplicate => "duplicate",
            Fault::Reorder => "reorder",
            Fault::LoseAck => "lose-ack",
            Fault::Refuse => "refuse",
            Fault::Status => "status",
            Fault::WrongRange => "wrong-range",
            Fault::Short => "short",
            Fault::Long => "long",
            Fault::Stall => "stall",
            Fault::Corrupt => "corrupt",
            Fault::WriteFail => "write-fail",
            Fault::Full => "full",
            Fault::ClockJump => "clock-jump",
        }
    }
}

/// Hears of each fault as it strikes: to count them, or to say so.
pub type Struck = fn(Fault);

/// Which faults. None unless told. As a text: `name=value` with commas between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults {
    chances: [Chance; Fault::ALL.len()],
    /// `slow=20kB/s`: the body comes at most this fast, in bytes a second.
    pub slow: Option<u32>,
    /// `clock-start=4294900000`: the clock's first reading, in ms. It wraps at 2^32.
    pub clock_start: Option<u32>,
    /// `seed=7`: another one gives other faults.
    pub seed: u64,
}

impl Faults {
    /// How likely `fault` is.
    pub fn chance(&self, fault: Fault) -> Chance {
        self.chances.get(fault as usize).copied().unwrap_or_default()
    }

    /// The same, with this chance for `fault`.
    pub fn with(mut self, fault: Fault, chance: Chance) -> Self {
        if let Some(place) = self.chances.get_mut(fault as usize) {
            *place = chance;
        }
        self
    }
}

/// A text that names no faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultsError {
    /// Not `name=value`.
    #[error("{0:?}: must be name=value, such as drop-link=2%")]
    NoValue(String),
    /// No such fault.
    #[error("{0:?} is no fault; there are {list}", list = names())]
    Unknown(String),
    /// A chance that is none.
    #[error("{0}={1:?}: must be a per cent from 0 to 100, such as 2% or 0.01%")]
    Chance(String, String),
    /// A speed that is none.
    #[error("slow={0:?}: must be bytes a second, such as 800B/s, 20kB/s or 1MB/s")]
    Speed(String),
    /// A number that is none.
    #[error("{0}={1:?}: must be a whole number")]
    Number(&'static str, String),
}

fn names() -> String {
    let chances = Fault::ALL.map(Fault::name);
    format!("{}, slow, clock-start, seed", chances.join(", "))
}

impl FromStr for Faults {
    type Err = FaultsError;

    fn from_str(text: &str) -> Result<Self, FaultsError> {
        let mut faults = Faults::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| FaultsError::NoValue(part.into()))?;
            let number = |name| FaultsError::Number(name, value.into());
            match name {
                "slow" => faults.slow = Some(speed(value).ok_or_else(|| FaultsError::Speed(value.into()))?),
                "clock-start" => {
                    faults.clock_start = Some(value.parse().map_err(|_| number("clock-start"))?);
                }
                "seed" => faults.seed = value.parse().map_err(|_| number("seed"))?,
                _ => {
                    let fault = Fault::ALL.into_iter().find(|fault| fault.name() == name);
                    let fault = fault.ok_or_else(|| FaultsError::Unknown(name.into()))?;
                    let chance =
                        chance(value).ok_or_else(|| FaultsError::Chance(name.into(), value.into()))?;
                    faults = faults.with(fault, chance);
                }
            }
        }
        Ok(faults)
    }
}

/// `2%`, `0.01%`: up to seven digits behind the point.
fn chance(text: &str) -> Option<Chance> {
    let text = text.strip_suffix('%')?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 7 {
        return None;
    }
    let part: u64 = format!("{part:0<7}").parse().ok()?;
    let parts = whole.parse::<u64>().ok()?.checked_mul(10_000_000)?.checked_add(part)?;
    (parts <= Chance::CERTAIN).then_some(Chance(parts))
}

/// `800B/s`, `20kB/s`, `1MB/s`; not 0.
fn speed(text: &str) -> Option<u32> {
    let amount = text.strip_suffix("B/s")?;
    let (amount, unit) = match (amount.strip_suffix('k'), amount.strip_suffix('M')) {
        (Some(amount), _) => (amount, 1_000),
        (_, Some(amount)) => (amount, 1_000_000),
        _ => (amount, 1),
    };
    amount.parse::<u32>().ok()?.checked_mul(unit).filter(|speed| *speed > 0)
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed={}", self.seed)?;
        for fault in Fault::ALL {
            let Chance(parts) = self.chance(fault);
            if parts > 0 {
                let (whole, part) = (parts / 10_000_000, format!("{:07}", parts % 10_000_000));
                let part = part.trim_end_matches('0');
                let point = if part.is_empty() { "" } else { "." };
                write!(f, ",{}={whole}{point}{part}%", fault.name())?;
            }
        }
        if let Some(speed) = self.slow {
            write!(f, ",slow={speed}B/s")?;
        }
        if let Some(start) = self.clock_start {
            write!(f, ",clock-start={start}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_the_same_when_it_is_written_again() {
        let text = "seed=7,drop-link=2%,status=100%,corrupt=0.01%,slow=20kB/s,clock-start=4294900000";
        let faults: Faults = text.parse().unwrap();
        assert_eq!(faults.chance(Fault::DropLink), Chance::per_million(20_000));
        assert_eq!(faults.chance(Fault::Corrupt), Chance::per_million(100));
        assert_eq!(faults.slow, Some(20_000));
        assert_eq!(faults.to_string().parse(), Ok(faults));
        assert_eq!("".parse(), Ok(Faults::default()));
    }

    #[test]
    fn a_wrong_text_is_named_with_what_would_be_right() {
        for (text, message) in [
            ("drop-link", "\"drop-link\": must be name=value, such as drop-link=2%"),
            ("drop-link=2", "drop-link=\"2\": must be a per cent from 0 to 100, such as 2% or 0.01%"),
            ("stall=101%", "stall=\"101%\": must be a per cent from 0 to 100, such as 2% or 0.01%"),
            ("stall=-1%", "stall=\"-1%\": must be a per cent from 0 to 100, such as 2% or 0.01%"),
            ("slow=20", "slow=\"20\": must be bytes a second, such as 800B/s, 20kB/s or 1MB/s"),
            ("slow=0B/s", "slow=\"0B/s\": must be bytes a second, such as 800B/s, 20kB/s or 1MB/s"),
            ("seed=x", "seed=\"x\": must be a whole number"),
        ] {
            assert_eq!(text.parse::<Faults>().unwrap_err().to_string(), message);
        }
        let message = "rain=1%".parse::<Faults>().unwrap_err().to_string();
        assert!(message.starts_with("\"rain\" is no fault; there are drop-link, duplicate,"), "{message}");
    }
}
