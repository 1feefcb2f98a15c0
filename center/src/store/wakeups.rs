//! PostgreSQL's notifications: a center hears at once that something is due for it. A notification may be lost; whoever
//! waits for one looks again now and then.

use std::fmt;

use sqlx::postgres::PgListener;

use super::{Result, Store, StoreError};

/// The channel of all centers; the payload is the id of the one that is meant.
pub(super) const CHANNEL: &str = "quecota";

/// Where notifications come from. The URL may hold a password, so it is never shown.
#[derive(Clone)]
pub(super) struct NotifyUrl(pub(super) String);

impl fmt::Debug for NotifyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NotifyUrl(..)")
    }
}

/// Notifications for one center.
pub struct Wakeups {
    listener: PgListener,
    center: String,
}

impl Store {
    /// Notifications for `center` from now on; none: nobody else writes to this database.
    pub async fn wakeups(&self, center: &str) -> Result<Option<Wakeups>> {
        let Some(NotifyUrl(url)) = &self.notify_url else { return Ok(None) };
        let mut listener = PgListener::connect(url).await.map_err(StoreError::unavailable)?;
        listener.listen(CHANNEL).await.map_err(StoreError::unavailable)?;
        Ok(Some(Wakeups { listener, center: center.to_owned() }))
    }
}

impl Wakeups {
    /// Returns with the next notification, or once the connection was lost and is there again: one may have been missed.
    pub async fn next(&mut self) -> Result<()> {
        loop {
            match self.listener.try_recv().await.map_err(StoreError::unavailable)? {
                Some(notification) if notification.payload() != self.center => {}
                Some(_) | None => return Ok(()),
            }
        }
    }
}
