//! What a fleet is made of, as data: one thing a line, each with its alternatives and their shares.
//!
//! ```text
//! sdk 2.9.0 60%, 2.10.6 20%, quecota 20%
//! component MCU 1 90%, 2 10%       # a component, and the versions that devices have of it
//! battery 20..100                  # %, drawn from this span
//! rsrp -115..-70                   # dBm
//! space 16384..698000              # bytes; an MCU's firmware comes in pieces of so many
//! encrypted 10%                    # devices that ask for an encrypted session
//! ask once                         # or: ask never, ask every 5000 ms
//! drop 1%                          # messages before which a device loses its connection
//! offer upgrade 90%, refuse 3%, fail 12 at upgrading 4%, fail 6 at downloading 3%
//! ```
//!
//! What a device does at an offer is drawn anew for each offer.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::random::Random;
use crate::script::{Ask, Conduct, Delivery, Ending, ScriptError, conduct, number};
use crate::{Script, Sdk, SessionEncryption};

/// Alternatives with their shares.
#[derive(Debug, Clone)]
struct Shares<T>(Vec<(T, u64)>);

impl<T> Shares<T> {
    fn draw(&self, random: &mut Random) -> Option<&T> {
        let mut left = random.below(self.0.iter().map(|(_, share)| share).sum());
        self.0.iter().find_map(|(one, share)| match left.checked_sub(*share) {
            None => Some(one),
            Some(rest) => {
                left = rest;
                None
            }
        })
    }
}

/// A fleet.
#[derive(Debug, Clone)]
pub struct Mix {
    sdk: Shares<Sdk>,
    module: Shares<String>,
    components: Vec<(String, Shares<String>)>,
    battery: RangeInclusive<i64>,
    rsrp: RangeInclusive<i64>,
    space: RangeInclusive<i64>,
    /// %.
    encrypted: u64,
    ask: Ask,
    /// %.
    drop: u64,
    offers: Shares<Conduct>,
}

impl Default for Mix {
    fn default() -> Self {
        let usual = Script::default();
        Mix {
            sdk: Shares(vec![(Sdk::V2_9_0, 1)]),
            module: Shares(vec![(usual.module, 1)]),
            components: Vec::new(),
            battery: usual.battery..=usual.battery,
            rsrp: usual.rsrp..=usual.rsrp,
            space: usual.space..=usual.space,
            encrypted: 0,
            ask: Ask::Never,
            drop: 0,
            offers: Shares(vec![(Conduct::of(Ending::Upgrade), 1)]),
        }
    }
}

impl Mix {
    /// A device, as its chances make it. What it does at its offers is not in it.
    pub fn device(&self, random: &mut Random) -> Script {
        let mut within = |span: &RangeInclusive<i64>| {
            let width = span.end().abs_diff(*span.start()).saturating_add(1);
            span.start().saturating_add_unsigned(random.below(width))
        };
        let (battery, rsrp, space) = (within(&self.battery), within(&self.rsrp), within(&self.space));
        let mut script = Script { battery, rsrp, space, ask: self.ask, ..Script::default() };
        if let Some(sdk) = self.sdk.draw(random) {
            script.sdk = *sdk;
        }
        if let Some(module) = self.module.draw(random) {
            script.module.clone_from(module);
        }
        for (name, versions) in &self.components {
            let version = versions.draw(random).cloned().unwrap_or_default();
            script.components.push((name.clone(), version));
        }
        if random.below(100) < self.encrypted {
            script.encryption = SessionEncryption::On;
        }
        script
    }

    /// What it does at an offer.
    pub fn conduct(&self, random: &mut Random) -> Conduct {
        self.offers.draw(random).cloned().unwrap_or(Conduct::of(Ending::Upgrade))
    }

    /// Whether it loses its connection before a message.
    pub fn drops(&self, random: &mut Random) -> bool {
        self.drop > 0 && random.below(100) < self.drop
    }
}

impl FromStr for Mix {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut mix = Mix::default();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.split('#').next().unwrap_or_default().trim();
            if !content.is_empty() {
                mix.take(content).map_err(|why| ScriptError { line, why })?;
            }
        }
        Ok(mix)
    }
}

const LINES: &str = "sdk, module, component, battery, rsrp, space, encrypted, ask, drop, offer";

impl Mix {
    fn take(&mut self, line: &str) -> Result<(), String> {
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match name {
            "sdk" => self.sdk = shares(rest, sdk)?,
            "module" => self.module = shares(rest, |words| Ok(words.into()))?,
            "component" => {
                let (component, versions) = rest
                    .trim()
                    .split_once(char::is_whitespace)
                    .ok_or("say component NAME VERSION, or NAME VERSION 90%, VERSION 10%")?;
                let versions = shares(versions, |words| Ok(words.into()))?;
                self.components.push((component.into(), versions));
            }
            "battery" => self.battery = span(rest)?,
            "rsrp" => self.rsrp = span(rest)?,
            "space" => self.space = span(rest)?,
            "encrypted" => self.encrypted = percent(rest)?,
            "drop" => self.drop = percent(rest)?,
            "ask" => self.ask = ask(rest)?,
            "offer" => self.offers = shares(rest, offer)?,
            _ => return Err(format!("{line:?} is no line of a fleet; there are: {LINES}")),
        }
        Ok(())
    }
}

/// `ONE 90%, OTHER 10%`; one alone needs no share.
fn shares<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Shares<T>, String> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let mut shares = Vec::new();
    for part in &parts {
        let (words, share) = match part.rsplit_once(char::is_whitespace) {
            Some((words, share)) if share.ends_with('%') => (words.trim(), percent(share)?),
            _ if parts.len() == 1 => (*part, 1),
            _ => return Err(format!("{part:?} has no share; say it as in: {part} 10%")),
        };
        shares.push((read(words)?, share));
    }
    if shares.iter().all(|(_, share)| *share == 0) {
        return Err(format!("{text:?}: the shares are all 0"));
    }
    Ok(Shares(shares))
}

fn sdk(word: &str) -> Result<Sdk, String> {
    let known = [Sdk::V2_9_0, Sdk::V2_10_6].into_iter().find(|sdk| sdk.version() == word);
    match word {
        "quecota" => Ok(Sdk::Quecota),
        _ => known.ok_or(format!("{word:?} is no SDK; there are: 2.9.0, 2.10.6, quecota")),
    }
}

fn percent(word: &str) -> Result<u64, String> {
    let number = word.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
    number
        .filter(|number| *number <= 100)
        .ok_or(format!("{word:?} is no share; say it as in 10%, 100% at most"))
}

/// `20..100`, or one number.
fn span(text: &str) -> Result<RangeInclusive<i64>, String> {
    let (from, until) = text.trim().split_once("..").unwrap_or((text.trim(), text.trim()));
    let (from, until) = (number(from)?, number(until)?);
    if from > until { Err(format!("{text:?}: the first number is the lower one")) } else { Ok(from..=until) }
}

fn ask(text: &str) -> Result<Ask, String> {
    let script: Script = format!("ask {text}").parse().map_err(|error: ScriptError| error.why)?;
    Ok(script.ask)
}

fn offer(words: &str) -> Result<Conduct, String> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let conduct = conduct(&words)?;
    if conduct.delivery != Delivery::Once || conduct.stranger.is_some() {
        return Err(format!(
            "{:?}: a device of a fleet tells everything once, and in order",
            words.join(" ")
        ));
    }
    Ok(conduct)
}

impl fmt::Display for Sdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "sdk 2.9.0 60%, 2.10.6 20%, quecota 20%\ncomponent MCU 1 90%, 2 10% # versions\n\
         battery 20..100\nencrypted 10%\ndrop 1%\nask every 500 ms\n\
         offer upgrade 90%, fail 12 at upgrading 5%, upgrade slow 4000 5%\n";

    #[test]
    fn the_same_seed_makes_the_same_device_and_shares_are_kept() {
        let mix: Mix = TEXT.parse().unwrap();
        let device = |number| {
            let mut random = Random::of(7, number);
            (mix.device(&mut random), mix.conduct(&mut random))
        };
        assert_eq!(device(3), device(3));
        let devices: Vec<_> = (0..10_000).map(device).collect();
        let share = |wanted: &dyn Fn(&(Script, Conduct)) -> bool| {
            devices.iter().filter(|device| wanted(device)).count() / 100
        };
        assert!((58..62).contains(&share(&|(script, _)| script.sdk == Sdk::V2_9_0)));
        assert!((8..12).contains(&share(&|(script, _)| script.components[0].1 == "2")));
        assert!((8..12).contains(&share(&|(script, _)| script.encryption == SessionEncryption::On)));
        assert!((3..7).contains(&share(&|(_, conduct)| conduct.pace == Some(4000))));
        assert!(devices.iter().all(|(script, _)| (20..=100).contains(&script.battery)));
    }

    #[test]
    fn a_wrong_line_is_named_with_what_would_be_right() {
        let said = |text: &str| text.parse::<Mix>().unwrap_err().to_string();
        assert_eq!(said("\nsdk 3"), "line 2: \"3\" is no SDK; there are: 2.9.0, 2.10.6, quecota");
        assert!(said("offer upgrade 90%, refuse").contains("say it as in: refuse 10%"));
        assert!(said("offer upgrade twice").contains("once, and in order"));
        assert!(said("battery 100..20").contains("the lower one"));
        assert!(said("drop 120%").contains("100% at most"));
        assert!(said("weather fine").contains("is no line of a fleet"));
        assert!(said("sdk quecota 0%").contains("all 0"));
    }
}
