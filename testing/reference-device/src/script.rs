//! What a device does, as data: a text of one thing a line, so that many devices can do many things in one test.
//!
//! ```text
//! sdk 2.10.6                     # 2.9.0 unless said
//! component MCU 1                # an MCU component and its version; any number of them
//! space 16384                    # free space: an MCU's firmware comes in pieces of so many bytes
//! ask every 500 ms               # or: ask once; never unless said
//! offer refuse                   # what the device does at its first offer
//! offer fail 6 at downloading    # at its second
//! offer upgrade twice            # at its third and all that follow
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::SessionEncryption;

/// Which SDK a device runs; they differ in what they do (QUECTHING.md 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sdk {
    /// Takes a URL while idle; answers a plan that makes no sense; reports a lost download after its success.
    V2_9_0,
    /// Takes a URL after a confirmation only; drops what makes no sense, and a packet that it had before.
    V2_10_6,
    /// Not the vendor's: it says that it runs quecota, and does as the first.
    Quecota,
}

impl Sdk {
    /// As the device reports it (info id 11).
    pub fn version(self) -> &'static str {
        match self {
            Sdk::V2_9_0 => "2.9.0",
            Sdk::V2_10_6 => "2.10.6",
            Sdk::Quecota => "quecota/1.0",
        }
    }
}

/// A state of an upgrade, with the status that reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// 1: the plan has come.
    Received = 1,
    /// 2: it is confirmed, the URL is awaited.
    Confirmed = 2,
    /// 4: the URL has come.
    Starting = 4,
    /// 5: bytes come.
    Downloading = 5,
    /// 8: a piece is there.
    Downloaded = 8,
    /// 9: it is applied.
    Upgrading = 9,
}

impl Phase {
    /// Every one, in the order of an upgrade.
    pub const ALL: [Phase; 6] = [
        Phase::Received,
        Phase::Confirmed,
        Phase::Starting,
        Phase::Downloading,
        Phase::Downloaded,
        Phase::Upgrading,
    ];

    /// The number in its report.
    pub fn status(self) -> i64 {
        self as i64
    }

    fn word(self) -> &'static str {
        match self {
            Phase::Received => "received",
            Phase::Confirmed => "confirmed",
            Phase::Starting => "starting",
            Phase::Downloading => "downloading",
            Phase::Downloaded => "downloaded",
            Phase::Upgrading => "upgrading",
        }
    }
}

/// How an offer ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Well: status 11 with the target version.
    Upgrade,
    /// Status 3.
    Refuse,
    /// Without a word.
    Ignore,
    /// With this status, 6 or 12, once the phase was reported.
    Fail {
        /// 6 or 12.
        status: i64,
        /// When.
        at: Phase,
    },
    /// The power is gone for good and no FIN is sent: the center sees nothing.
    Die(Phase),
    /// The connection is closed for good.
    Leave(Phase),
    /// The device stays online and says nothing more; a request for firmware is made and its answer not read.
    Hang(Phase),
    /// It reboots and comes back as its SDK does (QUECTHING.md 3.5).
    Reboot(Phase),
    /// It reports the target version, and success, in this phase already.
    Early(Phase),
    /// Status 11, with this other version.
    Lie(String),
    /// Status 12, with this other version.
    Wrong(String),
    /// It runs the target version and reports that, without a status.
    Mute,
}

/// How statuses 4, 5, 8 and 9 are sent; the others go at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Once, in order.
    Once,
    /// Each message three times, within one QoS 2 exchange.
    Twice,
    /// After the end.
    Late,
    /// Before the end, the last first.
    Reordered,
}

/// What a device does at an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conduct {
    /// How it ends.
    pub ending: Ending,
    /// How it is told.
    pub delivery: Delivery,
    /// Bytes a second that it reads at most.
    pub pace: Option<u32>,
    /// A component, never offered, that it reports a download of.
    pub stranger: Option<String>,
}

impl Conduct {
    /// `ending`, told once and in order.
    pub fn of(ending: Ending) -> Self {
        Conduct { ending, delivery: Delivery::Once, pace: None, stranger: None }
    }
}

/// When the device asks for a plan by itself (0x0115).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Never.
    Never,
    /// After each connect.
    Once,
    /// After each connect, and again after such a time while it is idle.
    Every(Duration),
}

/// A device and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its SDK.
    pub sdk: Sdk,
    /// Version of the module's firmware.
    pub module: String,
    /// MCU components and their versions.
    pub components: Vec<(String, String)>,
    /// %.
    pub battery: i64,
    /// dBm.
    pub rsrp: i64,
    /// Bytes.
    pub space: i64,
    /// Whether it wants an encrypted session.
    pub encryption: SessionEncryption,
    /// Whether it asks for the SHA-256.
    pub wants_sha256: bool,
    /// When it asks for a plan.
    pub ask: Ask,
    /// What it does at each offer; the last one stands for all that follow. None: it upgrades.
    pub offers: Vec<Conduct>,
}

impl Default for Script {
    fn default() -> Self {
        Script {
            sdk: Sdk::V2_9_0,
            module: "EC200UCNAAR03A11M08".into(),
            components: Vec::new(),
            battery: 87,
            rsrp: -90,
            space: 698_000,
            encryption: SessionEncryption::Off,
            wants_sha256: false,
            ask: Ask::Never,
            offers: Vec::new(),
        }
    }
}

impl Script {
    /// What the device does at offer number `index`, from 0.
    pub fn conduct(&self, index: usize) -> Conduct {
        let last = self.offers.len().saturating_sub(1);
        self.offers.get(index.min(last)).cloned().unwrap_or(Conduct::of(Ending::Upgrade))
    }
}

/// A line of a script that says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ScriptError {
    /// From 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub why: String,
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut script = Script::default();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.split('#').next().unwrap_or_default();
            let words: Vec<&str> = content.split_whitespace().collect();
            script.take(&words).map_err(|why| ScriptError { line, why })?;
        }
        Ok(script)
    }
}

const LINES: &str = "sdk, module, component, battery, rsrp, space, encrypted, sha256, ask, offer";

impl Script {
    fn take(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            [] => {}
            ["sdk", "2.9.0"] => self.sdk = Sdk::V2_9_0,
            ["sdk", "2.10.6"] => self.sdk = Sdk::V2_10_6,
            ["sdk", "quecota"] => self.sdk = Sdk::Quecota,
            ["sdk", ..] => return Err("sdk is 2.9.0, 2.10.6 or quecota".into()),
            ["module", version] => self.module = (*version).into(),
            ["component", name, version] => self.components.push(((*name).into(), (*version).into())),
            ["battery", percent] => self.battery = number(percent)?,
            ["rsrp", dbm] => self.rsrp = number(dbm)?,
            ["space", bytes] => self.space = number(bytes)?,
            ["encrypted"] => self.encryption = SessionEncryption::On,
            ["sha256"] => self.wants_sha256 = true,
            ["ask", "never"] => self.ask = Ask::Never,
            ["ask", "once"] => self.ask = Ask::Once,
            ["ask", "every", count, "ms"] => self.ask = Ask::Every(Duration::from_millis(number(count)?)),
            ["ask", ..] => return Err("ask never, ask once or ask every N ms".into()),
            ["offer", rest @ ..] => self.offers.push(conduct(rest)?),
            _ => return Err(format!("{:?} is no line of a script; there are: {LINES}", words.join(" "))),
        }
        Ok(())
    }
}

pub(crate) fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word:?} is no number here"))
}

fn phase(word: &str) -> Result<Phase, String> {
    let found = Phase::ALL.into_iter().find(|phase| phase.word() == word);
    found.ok_or_else(|| {
        let words: Vec<_> = Phase::ALL.iter().map(|phase| phase.word()).collect();
        format!("{word:?} is no phase; there are: {}", words.join(", "))
    })
}

pub(crate) fn conduct(words: &[&str]) -> Result<Conduct, String> {
    let (ending, mut rest) = match words {
        ["upgrade", rest @ ..] => (Ending::Upgrade, rest),
        ["refuse", rest @ ..] => (Ending::Refuse, rest),
        ["ignore", rest @ ..] => (Ending::Ignore, rest),
        ["mute", rest @ ..] => (Ending::Mute, rest),
        ["fail", status @ ("6" | "12"), "at", at, rest @ ..] => {
            (Ending::Fail { status: number(status)?, at: phase(at)? }, rest)
        }
        ["die", "at", at, rest @ ..] => (Ending::Die(phase(at)?), rest),
        ["leave", "at", at, rest @ ..] => (Ending::Leave(phase(at)?), rest),
        ["hang", "at", at, rest @ ..] => (Ending::Hang(phase(at)?), rest),
        ["reboot", "at", at, rest @ ..] => (Ending::Reboot(phase(at)?), rest),
        ["early", "at", at, rest @ ..] => (Ending::Early(phase(at)?), rest),
        ["lie", version, rest @ ..] => (Ending::Lie((*version).into()), rest),
        ["wrong", version, rest @ ..] => (Ending::Wrong((*version).into()), rest),
        _ => {
            return Err(format!(
                "{:?} is nothing to do at an offer; there are: upgrade, refuse, ignore, mute, fail 6|12 at PHASE, \
                 die|leave|hang|reboot|early at PHASE, lie VERSION, wrong VERSION",
                words.join(" ")
            ));
        }
    };
    let mut conduct = Conduct::of(ending);
    loop {
        rest = match rest {
            [] => return Ok(conduct),
            ["twice", rest @ ..] => {
                conduct.delivery = Delivery::Twice;
                rest
            }
            ["late", rest @ ..] => {
                conduct.delivery = Delivery::Late;
                rest
            }
            ["reordered", rest @ ..] => {
                conduct.delivery = Delivery::Reordered;
                rest
            }
            ["slow", pace, rest @ ..] => {
                conduct.pace = Some(number(pace)?);
                rest
            }
            ["stranger", name, rest @ ..] => {
                conduct.stranger = Some((*name).into());
                rest
            }
            _ => {
                return Err(format!(
                    "{:?} is no way to do it; there are: twice, late, reordered, slow BYTES, stranger COMPONENT",
                    rest.join(" ")
                ));
            }
        };
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_line_by_line() {
        let script: Script = "sdk 2.10.6 # later\n\ncomponent MCU 1\nask every 500 ms\nencrypted\n\
             offer fail 6 at downloading slow 4096\noffer upgrade twice stranger X\n"
            .parse()
            .unwrap();
        assert_eq!((script.sdk, script.components.len()), (Sdk::V2_10_6, 1));
        assert_eq!(script.encryption, SessionEncryption::On);
        assert_eq!(script.ask, Ask::Every(Duration::from_millis(500)));
        let first = script.conduct(0);
        assert_eq!(first.ending, Ending::Fail { status: 6, at: Phase::Downloading });
        assert_eq!((first.pace, first.delivery), (Some(4096), Delivery::Once));
        let later = script.conduct(7);
        assert_eq!((later.ending, later.delivery), (Ending::Upgrade, Delivery::Twice));
        assert_eq!(later.stranger.as_deref(), Some("X"));
        assert_eq!(Script::default().conduct(0).ending, Ending::Upgrade);
    }

    #[test]
    fn a_wrong_line_is_named_with_what_would_be_right() {
        let said = |text: &str| text.parse::<Script>().unwrap_err().to_string();
        assert_eq!(said("\nsdk 3"), "line 2: sdk is 2.9.0, 2.10.6 or quecota");
        assert!(said("offer fail 7 at upgrading").contains("fail 6|12 at PHASE"));
        assert!(said("offer die at noon").contains("\"noon\" is no phase; there are: received"));
        assert!(said("offer upgrade slow x").contains("\"x\" is no number"));
        assert!(said("battery").contains("is no line of a script"));
    }
}
