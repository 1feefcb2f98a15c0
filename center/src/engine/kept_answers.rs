//! Requests that may be sent again, with the answers that are kept for them.

use super::transaction::transact;
use super::{Engine, Result};
use crate::clock::Millis;
use crate::store::KeptAnswer;

/// How long an answer is kept.
const KEPT: Millis = Millis::hours(24);

impl Engine {
    /// Notes that a request begins; gives what is known of it if it began before, and whether the center that it came to
    /// still runs.
    pub async fn begin_request(
        &self,
        digest: &str,
        fingerprint: &str,
        now: Millis,
    ) -> Result<Option<(KeptAnswer, bool)>> {
        transact!(self, |store| {
            store.forget_requests(now - KEPT).await?;
            let Some(known) = store.begin_request(digest, fingerprint, self.run(), now).await? else {
                return Ok(None);
            };
            let runs = self.is_running(&known.run, store).await?;
            Ok(Some((known, runs)))
        })
    }

    /// Notes that a request that has begun broke off: nobody works on it any more.
    pub async fn break_off_request(&self, digest: &str) -> Result<()> {
        transact!(self, |store| Ok(store.break_off_request(digest).await?))
    }

    /// Keeps the answer of a request that has begun, as status and sealed body; none: the request had no effect.
    pub async fn end_request(&self, digest: &str, answer: Option<(i64, &str)>) -> Result<()> {
        transact!(self, |store| {
            match answer {
                Some((status, sealed)) => store.keep_answer(digest, status, sealed).await?,
                None => store.forget_request(digest).await?,
            }
            Ok(())
        })
    }
}
