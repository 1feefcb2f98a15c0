//! The audit log: lines that hold each other. A line's digest covers the digest of the line before it, so none can be
//! changed, put in or taken out without every later digest being another one.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::clock::Millis;

/// The digest before the first line.
pub const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Change {
    /// When.
    pub at: Millis,
    /// Who.
    pub actor: String,
    /// From which address.
    pub address: String,
    /// What they did, as method and path of the API.
    pub action: String,
    /// To what.
    pub target: String,
    /// The status, and of a refusal its code; `unknown` if the center stopped before the end.
    pub outcome: String,
    /// How it was before; null: it was not there, or nothing is to be shown.
    pub before: Option<Value>,
    /// How it is now.
    pub after: Option<Value>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AuditLine {
    /// Its number: from 1, without gaps.
    pub id: i64,
    /// What was done.
    #[serde(flatten)]
    pub change: Change,
    /// SHA-256 over the digest before it and all else, in hexadecimal digits.
    pub digest: String,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A number is missing or comes twice.
    #[error("line {found} stands where line {expected} belongs: lines were taken out or put in")]
    Number {
        /// The number that comes next.
        expected: i64,
        /// The number that is there.
        found: i64,
    },
    /// The digest is another one.
    #[error("line {id} does not fit to its digest: it, or a line before it, was changed")]
    Digest {
        /// Its number.
        id: i64,
    },
}

impl AuditLine {
    /// The line that follows the one with this number and digest.
    #[must_use]
    pub fn after(id: i64, digest: &str, change: Change) -> Self {
        let id = id.saturating_add(1);
        Self { digest: digest_of(id, digest, &change), id, change }
    }
}

fn digest_of(id: i64, before: &str, change: &Change) -> String {
    // An array, so that no field can run into the next one. Names in JSON objects are in alphabetical order.
    let text = json!([
        before,
        id,
        change.at,
        change.actor,
        change.address,
        change.action,
        change.target,
        change.outcome,
        change.before,
        change.after
    ])
    .to_string();
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Reads a log from its beginning and says where it breaks.
#[derive(Debug, Clone)]
pub struct Verifier {
    /// Lines that hold.
    pub lines: i64,
    /// Digest of the last of them.
    pub digest: String,
}

impl Default for Verifier {
    fn default() -> Self {
        Self { lines: 0, digest: BEGINNING.to_owned() }
    }
}

impl Verifier {
    /// Takes the next line.
    ///
    /// # Errors
    /// It does not follow on the lines before it.
    pub fn take(&mut self, line: &AuditLine) -> Result<(), Broken> {
        let expected = self.lines.saturating_add(1);
        if line.id != expected {
            return Err(Broken::Number { expected, found: line.id });
        }
        if digest_of(line.id, &self.digest, &line.change) != line.digest {
            return Err(Broken::Digest { id: line.id });
        }
        self.lines = expected;
        self.digest.clone_from(&line.digest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Vec<AuditLine> {
        let mut lines: Vec<AuditLine> = Vec::new();
        for number in 0..4 {
            let change = Change {
                at: Millis(number),
                actor: "account admin".to_owned(),
                address: "10.0.0.1".to_owned(),
                action: "PATCH /plans/{plan}".to_owned(),
                target: "/plans/1".to_owned(),
                outcome: "200".to_owned(),
                before: Some(json!({ "b": 1, "a": number })),
                after: None,
            };
            let (id, digest) = lines.last().map_or((0, BEGINNING), |line| (line.id, &line.digest));
            lines.push(AuditLine::after(id, digest, change));
        }
        lines
    }

    fn verify(lines: &[AuditLine]) -> Result<(), Broken> {
        let mut verifier = Verifier::default();
        lines.iter().try_for_each(|line| verifier.take(line))
    }

    #[test]
    fn whatever_is_changed_put_in_or_taken_out_shows() {
        let log = log();
        verify(&log).unwrap();
        let mut changed = log.clone();
        changed[1].change.actor = "account other".to_owned();
        assert_eq!(verify(&changed), Err(Broken::Digest { id: 2 }));
        let mut renewed = log.clone();
        let change = changed[1].change.clone();
        renewed[1] = AuditLine::after(1, &log[0].digest, change);
        assert_eq!(verify(&renewed), Err(Broken::Digest { id: 3 }), "the next line knew the old one");
        let mut without = log.clone();
        without.remove(1);
        assert_eq!(verify(&without), Err(Broken::Number { expected: 2, found: 3 }));
    }

    #[test]
    fn a_line_that_went_through_json_still_holds() {
        let text = serde_json::to_string(&log()).unwrap();
        verify(&serde_json::from_str::<Vec<AuditLine>>(&text).unwrap()).unwrap();
    }
}
