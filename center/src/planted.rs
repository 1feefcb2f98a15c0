//! Bugs that a test plants to see that another test finds them: by `QUECOTA_PLANT`, in debug builds alone.

use std::sync::OnceLock;

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A device's message is acknowledged before it is committed.
    AcknowledgeFirst,
    /// What happens to a set of devices is answered before the set is committed.
    AcknowledgeSetFirst,
    /// Commits of SQLite are not on the disk.
    SynchronousOff,
    /// A center is not told that something is due for it.
    ForgottenNotification,
    /// The lease of a center on its connections never ends.
    LostLease,
    /// A caller of any role may do everything.
    UncheckedRole,
    /// A thing is answered with a status that the API's description does not have.
    UndescribedAnswer,
    /// The handler of one route panics.
    PanickingHandler,
}

impl Bug {
    const ALL: [(Bug, &'static str); 8] = [
        (Bug::AcknowledgeFirst, "acknowledge-first"),
        (Bug::AcknowledgeSetFirst, "acknowledge-set-first"),
        (Bug::SynchronousOff, "synchronous-off"),
        (Bug::ForgottenNotification, "forgotten-notification"),
        (Bug::LostLease, "lost-lease"),
        (Bug::UncheckedRole, "unchecked-role"),
        (Bug::UndescribedAnswer, "undescribed-answer"),
        (Bug::PanickingHandler, "panicking-handler"),
    ];

    /// Whether this process has it.
    pub fn is_planted(self) -> bool {
        static PLANTED: OnceLock<Option<Bug>> = OnceLock::new();
        cfg!(debug_assertions) && *PLANTED.get_or_init(named) == Some(self)
    }
}

fn named() -> Option<Bug> {
    let name = std::env::var("QUECOTA_PLANT").ok()?;
    let found = Bug::ALL.iter().find(|(_, known)| *known == name).map(|(bug, _)| *bug);
    match found {
        Some(bug) => tracing::error!(?bug, "QUECOTA_PLANT: this process has a bug on purpose"),
        None => tracing::error!(name, "QUECOTA_PLANT: there is no such bug"),
    }
    found
}
