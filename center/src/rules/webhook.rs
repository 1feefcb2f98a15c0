//! Webhooks: what is told, how it is signed, and when it is tried again.
//!
//! The form is that of Standard Webhooks (<https://www.standardwebhooks.com>): headers `webhook-id`, `webhook-timestamp` and
//! `webhook-signature`, and a JSON body of `type`, `timestamp` and `data`.

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use super::plan::{PlanEvent, PlanState};
use super::progress::UpgradeState;
use crate::clock::Millis;

words! {
    /// What a webhook may be told.
    WebhookEvent, "event" {
        /// A plan was activated.
        PlanActivated = "plan.activated",
        /// An operator suspended a plan.
        PlanSuspended = "plan.suspended",
        /// Too many devices failed: the center suspended the plan.
        PlanHalted = "plan.halted",
        /// An operator resumed a plan.
        PlanResumed = "plan.resumed",
        /// An operator terminated a plan; its devices have no message of their own about that.
        PlanTerminated = "plan.terminated",
        /// A plan's end time has come; its devices have no message of their own about that.
        PlanEnded = "plan.ended",
        /// A device that nobody had entered connected for the first time.
        DeviceCreated = "device.created",
        /// A device confirmed an upgrade.
        UpgradeStarted = "device.upgrade_started",
        /// A device has the target versions.
        UpgradeSucceeded = "device.upgrade_succeeded",
        /// A device had the target versions already.
        UpgradeNotRequired = "device.upgrade_not_required",
        /// An upgrade failed for good, or its success did not last.
        UpgradeFailed = "device.upgrade_failed",
        /// Somebody tries the webhook.
        Test = "webhook.test",
    }
}

words! {
    /// How far a message to a webhook is.
    DeliveryState, "delivery state" {
        /// It is tried now or later.
        Waiting = "waiting",
        /// The receiver has taken it.
        Delivered = "delivered",
        /// Nobody tries any more.
        Failed = "failed",
    }
}

impl WebhookEvent {
    /// What is told about a plan that takes this step.
    #[must_use]
    pub fn of_plan(event: PlanEvent) -> Option<Self> {
        match event {
            PlanEvent::Activate => Some(Self::PlanActivated),
            PlanEvent::Suspend => Some(Self::PlanSuspended),
            PlanEvent::Halt => Some(Self::PlanHalted),
            PlanEvent::Resume => Some(Self::PlanResumed),
            PlanEvent::Terminate => Some(Self::PlanTerminated),
            PlanEvent::EndTime => Some(Self::PlanEnded),
            PlanEvent::DeviceStarts => None,
        }
    }

    /// What is told about an upgrade whose state changes.
    #[must_use]
    pub fn of_upgrade(before: UpgradeState, after: UpgradeState) -> Option<Self> {
        match after {
            _ if before == after => None,
            UpgradeState::NotUpgraded => None,
            UpgradeState::Upgrading => Some(Self::UpgradeStarted),
            UpgradeState::Upgraded => Some(Self::UpgradeSucceeded),
            UpgradeState::NotRequired => Some(Self::UpgradeNotRequired),
            UpgradeState::Failed => Some(Self::UpgradeFailed),
        }
    }
}

/// The body of a message.
#[must_use]
pub fn body(event: WebhookEvent, at: Millis, data: &Value) -> String {
    json!({ "type": event, "timestamp": at.to_string(), "data": data }).to_string()
}

/// What is told about a plan.
#[must_use]
pub fn plan_data(plan: i64, name: &str, product: &str, state: PlanState, reason: Option<&str>) -> Value {
    json!({ "plan": plan, "name": name, "product": product, "state": state, "reason": reason })
}

/// Bytes of a new secret.
const SECRET: usize = 32;
/// What a secret begins with.
const SECRET_START: &str = "whsec_";
/// How long the secret of before still signs.
const FORMER_SIGNS: Millis = Millis::hours(24);

/// What the messages of a webhook are signed with. Only sealed it leaves the process, and once, when it is made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSecret {
    secret: String,
    /// The one of before, and until when it signs too.
    former: Option<(String, Millis)>,
}

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

impl WebhookSecret {
    /// A secret of these random bytes.
    #[must_use]
    pub fn of(random: &[u8; SECRET]) -> Self {
        Self { secret: format!("{SECRET_START}{}", Base64::encode_string(random)), former: None }
    }

    /// Another secret in its place, beside which it signs for a day more.
    #[must_use]
    pub fn renewed(&self, random: &[u8; SECRET], now: Millis) -> Self {
        Self { former: Some((self.secret.clone(), now + FORMER_SIGNS)), ..Self::of(random) }
    }

    /// The text to show once: `whsec_` and the key in base64.
    #[must_use]
    pub fn shown_once(&self) -> &str {
        &self.secret
    }

    /// The header `webhook-signature`: `v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`, one for each secret.
    #[must_use]
    pub fn signatures(&self, message: &str, seconds: i64, body: &str, now: Millis) -> String {
        let former = self.former.as_ref().filter(|(_, until)| now < *until).map(|(secret, _)| secret);
        let secrets = std::iter::once(&self.secret).chain(former);
        let signed: Vec<String> = secrets.map(|secret| sign(secret, message, seconds, body)).collect();
        signed.join(" ")
    }
}

fn sign(secret: &str, message: &str, seconds: i64, body: &str) -> String {
    // Every secret is one of ours, so the base64 decodes.
    let key = Base64::decode_vec(secret.strip_prefix(SECRET_START).unwrap_or(secret)).unwrap_or_default();
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
    mac.update(format!("{message}.{seconds}.{body}").as_bytes());
    format!("v1,{}", Base64::encode_string(&mac.finalize().into_bytes()))
}

/// Pauses before the second, third ... attempt. The last one is nearly two days after the first.
const PAUSES: [Millis; 10] = [
    Millis::seconds(1),
    Millis::seconds(5),
    Millis::seconds(30),
    Millis::minutes(5),
    Millis::minutes(30),
    Millis::hours(2),
    Millis::hours(5),
    Millis::hours(10),
    Millis::hours(12),
    Millis::hours(14),
];

/// Attempts at one message.
pub const ATTEMPTS: i64 = PAUSES.len() as i64 + 1;

/// The pause after so many failed attempts, longer by up to a fifth as `random` (0 to 1) says, so that what failed together is
/// not tried together; none: there is no further attempt.
#[must_use]
pub fn pause(attempts: i64, random: f64) -> Option<Millis> {
    let pause = PAUSES.get(usize::try_from(attempts.checked_sub(1)?).ok()?)?;
    let longer = (pause.0 as f64 * 0.2 * random.clamp(0.0, 1.0)) as i64;
    Some(*pause + Millis(longer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_standards_example() {
        // The example of the Standard Webhooks specification.
        let secret =
            WebhookSecret { secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(), former: None };
        let signed = secret.signatures(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            Millis(0),
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn the_secret_of_before_signs_for_a_day() {
        let (old, new) = (WebhookSecret::of(&[1; SECRET]), WebhookSecret::of(&[2; SECRET]));
        let both = old.renewed(&[2; SECRET], Millis(0));
        assert_eq!(both.shown_once(), new.shown_once());
        let of = |secret: &WebhookSecret, now| secret.signatures("m", 1, "{}", now);
        let soon = of(&both, Millis::hours(23));
        assert_eq!(soon, format!("{} {}", of(&new, Millis(0)), of(&old, Millis(0))));
        assert_eq!(of(&both, Millis::hours(24)), of(&new, Millis(0)));
        assert!(!format!("{both:?}").contains("whsec"));
    }

    #[test]
    fn pauses_grow_and_end() {
        let pauses: Vec<Millis> = (1..).map_while(|attempts| pause(attempts, 0.0)).collect();
        assert_eq!(pauses.len(), 10);
        assert!(pauses.is_sorted());
        assert_eq!(pause(1, 1.0), Some(Millis(1_200)));
        assert_eq!((pause(0, 0.0), pause(ATTEMPTS, 0.0)), (None, None));
    }

    #[test]
    fn an_upgrade_is_told_about_when_its_state_changes() {
        use UpgradeState::{Failed, NotUpgraded, Upgraded, Upgrading};
        assert_eq!(WebhookEvent::of_upgrade(NotUpgraded, Upgrading), Some(WebhookEvent::UpgradeStarted));
        assert_eq!(WebhookEvent::of_upgrade(Upgraded, Failed), Some(WebhookEvent::UpgradeFailed));
        assert_eq!(WebhookEvent::of_upgrade(Failed, Failed), None);
    }
}
