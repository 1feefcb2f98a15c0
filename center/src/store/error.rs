//! What goes wrong in the store, and whether trying again may help.

use std::fmt::{self, Display};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

use crate::seal::SealError;

/// Result of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("{what} {id:?} does not exist")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// By which name or number.
        id: String,
    },
    /// It contradicts what is there.
    #[error("{what} {id:?}: {reason}")]
    Conflict {
        /// What was to be written.
        what: &'static str,
        /// Its name or number.
        id: String,
        /// What stands against it, and what would be right.
        reason: String,
    },
    /// Trouble of the moment: the database is away, full, locked or overloaded. Trying again may help; a device must not
    /// take it for a refusal, after which it erases its secret.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] DatabaseError),
    /// The database refuses this statement with these values, and will refuse it again: a constraint, or a value that its
    /// column does not hold.
    #[error("the database refuses a value: {0}")]
    Refused(#[source] DatabaseError),
    /// A stored value, or the whole database, cannot be used as it is.
    #[error("the database cannot be used: {0}")]
    Unusable(String),
    /// A secret cannot be opened.
    #[error(transparent)]
    Sealed(#[from] SealError),
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, StoreError::Unavailable(_))
    }

    /// Whether the database ended the transaction for the sake of another one, or of a newer center: the same transaction will
    /// do, begun anew.
    pub fn is_contention(&self) -> bool {
        let StoreError::Unavailable(DatabaseError(error)) = self else { return false };
        matches!(code(error), Some(Code::Contention | Code::Outdated))
    }

    /// Whether the database has no room left on its disk.
    pub fn is_full(&self) -> bool {
        matches!(self, StoreError::Unavailable(DatabaseError(error)) if code(error) == Some(Code::Full))
    }

    pub(crate) fn missing(what: &'static str, id: impl Display) -> Self {
        StoreError::NotFound { what, id: id.to_string() }
    }

    pub(crate) fn conflict(what: &'static str, id: impl Display, reason: impl Into<String>) -> Self {
        StoreError::Conflict { what, id: id.to_string(), reason: reason.into() }
    }

    /// An error of connecting, beginning or committing: none of these depends on a value.
    pub(super) fn unavailable(error: sqlx::Error) -> Self {
        StoreError::Unavailable(DatabaseError(error))
    }
}

/// What the database, or the way to it, says.
#[derive(Debug)]
pub struct DatabaseError(sqlx::Error);

impl Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for DatabaseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error::{
            AnyDriverError, ColumnDecode, ColumnIndexOutOfBounds, ColumnNotFound, Decode, Encode,
            RowNotFound, TypeNotFound,
        };
        match error {
            // Another version wrote the value, or the database is damaged.
            ColumnDecode { .. }
            | Decode(_)
            | ColumnNotFound(_)
            | ColumnIndexOutOfBounds { .. }
            | TypeNotFound { .. }
            | AnyDriverError(_) => StoreError::Unusable(error.to_string()),
            Encode(_) | RowNotFound => StoreError::Refused(DatabaseError(error)),
            error => match code(&error) {
                Some(Code::Value) => StoreError::Refused(DatabaseError(error)),
                Some(Code::Outdated) => {
                    *OUTDATED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                    StoreError::Unavailable(DatabaseError(error))
                }
                _ => StoreError::Unavailable(DatabaseError(error)),
            },
        }
    }
}

/// When a statement was last found to be older than its table.
static OUTDATED: Mutex<Option<Instant>> = Mutex::new(None);

/// Whether a connection of this age may have statements that are older than their tables.
pub(super) fn is_outdated(age: Duration) -> bool {
    OUTDATED.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at.elapsed() < age)
}

/// What an error code of the database means to us. A code without a meaning here counts as temporary: only what a value
/// caused may be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    /// No room on the disk.
    Full,
    /// A constraint, or a value that does not fit.
    Value,
    /// A deadlock, or a transaction that cannot be put in an order with the others.
    Contention,
    /// The statement was prepared before another center gave its table a column.
    Outdated,
}

fn code(error: &sqlx::Error) -> Option<Code> {
    let error = error.as_database_error()?;
    let code = error.code()?;
    if error.try_downcast_ref::<SqliteError>().is_some() {
        // The low byte is the primary result code (sqlite3.h).
        return match code.parse::<u32>().ok()? & 0xFF {
            13 => Some(Code::Full),
            // TOOBIG, CONSTRAINT, MISMATCH
            18..=20 => Some(Code::Value),
            _ => None,
        };
    }
    let error = error.try_downcast_ref::<PgDatabaseError>()?;
    match (code.get(..2)?, &*code) {
        (_, "53100") => Some(Code::Full),
        // serialization_failure, deadlock_detected
        (_, "40001" | "40P01") => Some(Code::Contention),
        (_, "0A000") if error.routine() == Some("RevalidateCachedQuery") => Some(Code::Outdated),
        // Data exception, integrity constraint violation.
        ("22" | "23", _) => Some(Code::Value),
        _ => None,
    }
}

/// Whether the error says that a key is there already.
pub(super) fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}
