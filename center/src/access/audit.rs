//! Changes go into the audit log: noted before they begin, so that none is lost, and written when they have ended.

use std::net::IpAddr;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Access, AccessError};
use crate::clock::Millis;
use crate::rules::audit::Change;

/// A change of another center that has not ended after this long never will: no request takes longer.
const LOST_AFTER: Millis = Millis::hours(24);
/// Bytes of a thing that a line holds; of a larger one it holds size and digest.
const SHOWN_MAX: usize = 32 * 1024;
/// Fields that no line shows.
const SECRETS: [&str; 5] = ["secret", "password", "one_time_password", "new", "csrf"];

/// A change under way. Dropped without [`Audited::ended`], as when the caller goes away, it is written as one whose end
/// nobody saw.
#[must_use]
pub struct Audited {
    access: Access,
    pending: i64,
    /// None: its line is written.
    change: Option<Change>,
}

impl Drop for Audited {
    fn drop(&mut self) {
        let (access, pending) = (self.access.clone(), self.pending);
        if let (Some(mut change), Ok(runtime)) = (self.change.take(), tokio::runtime::Handle::try_current()) {
            "unknown: the caller left before the end".clone_into(&mut change.outcome);
            runtime.spawn(async move {
                if let Err(error) = access.write(pending, change).await {
                    tracing::warn!(%error, "a change has no line in the audit log yet; the next start writes it");
                }
            });
        }
    }
}

impl Access {
    /// Notes that somebody begins to change something. `actor` is a [`super::Principal`] in words; `action` says what is
    /// done, in the words of the API (`POST /plans/{plan}/activate`); `target` to what (`/plans/5`), and `before` how that
    /// is now. Secrets in `before` are taken out.
    ///
    /// # Errors
    /// The store's: then nothing may be changed.
    pub async fn audit(
        &self,
        actor: &str,
        address: IpAddr,
        action: &str,
        target: &str,
        before: Option<Value>,
    ) -> Result<Audited, AccessError> {
        let change = Change {
            at: self.now(),
            actor: actor.to_owned(),
            address: address.to_string(),
            action: action.to_owned(),
            target: target.to_owned(),
            outcome: String::new(),
            before: before.map(showable),
            after: None,
        };
        let mut writer = self.0.store.write().await?;
        let pending = writer.begin_audit(&self.0.center, &change).await?;
        writer.commit().await?;
        Ok(Audited { access: self.clone(), pending, change: Some(change) })
    }

    /// Writes what changes of this center were under way when it stopped.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_lost_audits(&self) -> Result<u64, AccessError> {
        let mut writer = self.0.store.write().await?;
        let lost = writer.end_lost_audits(&self.0.center, self.now() - LOST_AFTER).await?;
        writer.commit().await?;
        Ok(lost)
    }

    async fn write(&self, pending: i64, change: Change) -> Result<(), AccessError> {
        let mut writer = self.0.store.write().await?;
        writer.end_audit(pending, change).await?;
        Ok(writer.commit().await?)
    }

    /// Writes a line about something that changed nothing but who is signed in.
    pub(super) async fn note(&self, actor: &str, address: IpAddr, action: &str) -> Result<(), AccessError> {
        self.audit(actor, address, action, actor, None).await?.ended("done", None).await
    }
}

impl Audited {
    /// Writes the line: `outcome` is the status with the code of a refusal, `after` how the thing is now.
    ///
    /// # Errors
    /// The store's. The change is made, and its line is written at the next start.
    pub async fn ended(mut self, outcome: &str, after: Option<Value>) -> Result<(), AccessError> {
        let Some(mut change) = self.change.take() else { return Ok(()) };
        outcome.clone_into(&mut change.outcome);
        change.after = after.map(showable);
        self.access.write(self.pending, change).await
    }

    /// Whether the thing is the same as before.
    pub(crate) fn is_unchanged(&self, after: &Value) -> bool {
        self.change.as_ref().and_then(|change| change.before.as_ref()) == Some(&showable(after.clone()))
    }
}

/// The thing as a line may show it: without secrets, and not endless.
fn showable(mut thing: Value) -> Value {
    take_secrets(&mut thing);
    let text = thing.to_string();
    if text.len() <= SHOWN_MAX {
        return thing;
    }
    json!({ "bytes": text.len(), "sha256": hex::encode(Sha256::digest(text.as_bytes())) })
}

fn take_secrets(thing: &mut Value) {
    match thing {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if SECRETS.contains(&name.as_str()) && value.is_string() {
                    *value = Value::from("(not shown)");
                } else {
                    take_secrets(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(take_secrets),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_shows_a_secret_or_is_endless() {
        let shown = showable(json!({ "name": "Pump", "items": [{ "secret": "abc" }], "password": null }));
        assert_eq!(
            shown,
            json!({ "name": "Pump", "items": [{ "secret": "(not shown)" }], "password": null })
        );
        let long = showable(json!({ "list": "x".repeat(SHOWN_MAX) }));
        assert_eq!(long["bytes"], SHOWN_MAX + 11);
    }
}
