//! The centers that share a database: who is alive, and the connections of those that are not.
//!
//! Who is alive is told by the clock of the database: the clocks of several hosts differ.

use sqlx::AssertSqlSafe;

use super::{Backend, Columns, Reader, Result, Store, Writer};
use crate::clock::Millis;
use crate::planted::Bug;
use crate::rules::DeviceId;

/// A center as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CenterRow {
    /// Its id.
    pub id: String,
    /// Its process; empty: it is known by the connections that stand in its name alone.
    pub run: String,
    /// Version of the program.
    pub version: String,
    /// When it said last that it is alive, by the clock of the database.
    pub beat: Millis,
    /// How long ago that was.
    pub silent: Millis,
}

// A test shows that each has its index.
pub(super) const SESSIONS_OF: &str =
    "SELECT id, session FROM devices WHERE center = $1 AND session NOT LIKE $2 LIMIT $3";
pub(super) const ALL_SESSIONS: &str =
    "SELECT id, session FROM devices WHERE center > '' AND session NOT LIKE $1 LIMIT $2";
// The outer condition counts for a device that connected elsewhere meanwhile.
pub(super) const CLEAR_SESSIONS_OF: &str = "UPDATE devices SET session = NULL, online = 0, offline_since = $1 \
             WHERE center = $4 AND session NOT LIKE $3 AND id IN (SELECT id FROM devices WHERE center = $4 \
             AND session NOT LIKE $3 AND NOT EXISTS \
             (SELECT 1 FROM upgrades WHERE device_id = devices.id AND ended_at IS NULL) LIMIT $2)";
pub(super) const CLEAR_ALL_SESSIONS: &str = "UPDATE devices SET session = NULL, online = 0, offline_since = $1 \
             WHERE id IN (SELECT id FROM devices WHERE center > '' AND session NOT LIKE $3 AND NOT EXISTS \
             (SELECT 1 FROM upgrades WHERE device_id = devices.id AND ended_at IS NULL) LIMIT $2)";
pub(super) const TAKEN_OVER: &str = "DELETE FROM taken_over WHERE center = $1 RETURNING device_id, session";
/// Each center that holds a connection, one look at the index for each.
pub(super) const HOLDERS: &str = "WITH RECURSIVE holders (center) AS (SELECT MIN(center) FROM devices WHERE center > '' \
             UNION ALL SELECT (SELECT MIN(center) FROM devices WHERE center > holders.center) FROM holders \
             WHERE holders.center IS NOT NULL) SELECT center FROM holders WHERE center IS NOT NULL";

/// Whose connections are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder<'a> {
    /// Those of one center.
    Center(&'a str),
    /// Those of every center: a file is one center's, whatever its id was before.
    Any,
}

/// Which of them are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions<'a> {
    /// All.
    All,
    /// Those that do not carry the name of this run: they were left behind by earlier ones.
    NotOf(&'a str),
}

impl Sessions<'_> {
    /// What the others are like.
    fn excluded(self) -> String {
        match self {
            Sessions::All => String::new(),
            Sessions::NotOf(run) => format!("%/{run}/%"),
        }
    }
}

impl Store {
    /// Whether several centers may work on the database.
    pub fn is_shared(&self) -> bool {
        self.backend == Backend::Postgres
    }

    /// Whose connections an earlier run of the center `id` left behind.
    pub fn held_by<'a>(&self, id: &'a str) -> Holder<'a> {
        if self.is_shared() { Holder::Center(id) } else { Holder::Any }
    }
}

impl Reader {
    /// Now, by the clock of the database, in milliseconds, as SQL.
    fn clock(&self) -> &'static str {
        match self.backend {
            Backend::Sqlite => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
            Backend::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        }
    }

    /// Every center that runs, or that left connections behind.
    pub async fn centers(&mut self) -> Result<Vec<CenterRow>> {
        let clock = self.clock();
        let query = AssertSqlSafe(format!("SELECT *, {clock} - beat_at AS silent FROM centers ORDER BY id"));
        let rows = sqlx::query(query).fetch_all(self.connection()).await?;
        rows.iter()
            .map(|row| {
                Ok(CenterRow {
                    id: row.text("id")?,
                    run: row.text("run")?,
                    version: row.text("version")?,
                    beat: Millis(row.int("beat_at")?),
                    silent: Millis(row.int("silent")?),
                })
            })
            .collect()
    }

    /// Connections that stand in the name of `holder`, at most `limit`.
    pub async fn sessions_of(
        &mut self,
        holder: Holder<'_>,
        sessions: Sessions<'_>,
        limit: i64,
    ) -> Result<Vec<(DeviceId, String)>> {
        let query = match holder {
            Holder::Center(id) => sqlx::query(SESSIONS_OF).bind(id),
            Holder::Any => sqlx::query(ALL_SESSIONS),
        };
        let query = query.bind(sessions.excluded()).bind(limit);
        let rows = query.fetch_all(self.connection()).await?;
        rows.iter().map(|row| Ok((DeviceId(row.int("id")?), row.text("session")?))).collect()
    }

    /// Centers in whose name a connection stands and that have no row.
    pub async fn unknown_centers(&mut self) -> Result<Vec<String>> {
        let rows = sqlx::query(HOLDERS).fetch_all(self.connection()).await?;
        let holders: Vec<String> = rows.iter().map(|row| row.text("center")).collect::<Result<_>>()?;
        let known = self.centers().await?;
        Ok(holders.into_iter().filter(|id| known.iter().all(|center| center.id != *id)).collect())
    }
}

impl Writer {
    /// The process `run` is the center `id` from now on, whoever was it before.
    pub async fn register_center(&mut self, id: &str, run: &str, version: &str) -> Result<()> {
        let clock = self.clock();
        let query = AssertSqlSafe(format!(
            "INSERT INTO centers (id, run, version, started_at, beat_at) VALUES ($1, $2, $3, {clock}, {clock}) \
             ON CONFLICT (id) DO UPDATE SET run = excluded.run, version = excluded.version, \
             started_at = excluded.started_at, beat_at = excluded.beat_at"
        ));
        sqlx::query(query).bind(id).bind(run).bind(version).execute(self.connection()).await?;
        Ok(())
    }

    /// A center that is known by its connections alone; nothing happens if it has a row by now.
    pub async fn note_center(&mut self, id: &str) -> Result<()> {
        let clock = self.clock();
        let query = AssertSqlSafe(format!(
            "INSERT INTO centers (id, run, version, started_at, beat_at) VALUES ($1, '', '', {clock}, {clock}) \
             ON CONFLICT (id) DO NOTHING"
        ));
        sqlx::query(query).bind(id).execute(self.connection()).await?;
        Ok(())
    }

    /// The process `run` is alive as the center `id`; says whether it is that still.
    pub async fn beat(&mut self, id: &str, run: &str) -> Result<bool> {
        let clock = self.clock();
        let query = AssertSqlSafe(format!("UPDATE centers SET beat_at = {clock} WHERE id = $1 AND run = $2"));
        let done = sqlx::query(query).bind(id).bind(run).execute(self.connection()).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Locks the row of a center that has been silent for `span`; says whether that was done. Nobody waits: another center
    /// may have it, or it is alive again.
    pub async fn lock_silent_center(&mut self, id: &str, span: Millis) -> Result<bool> {
        self.outlast().await?;
        let clock = self.clock();
        let lock = if self.backend == Backend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
        let query =
            AssertSqlSafe(format!("SELECT id FROM centers WHERE id = $1 AND {clock} - beat_at >= $2{lock}"));
        let row = sqlx::query(query).bind(id).bind(span.0).fetch_optional(self.connection()).await?;
        Ok(row.is_some())
    }

    /// The center is not there any more; with `run`, only if it is that process. What was left to it is forgotten.
    pub async fn remove_center(&mut self, id: &str, run: Option<&str>) -> Result<()> {
        let query = "DELETE FROM centers WHERE id = $1 AND (run = $2 OR $2 = '')";
        let done = sqlx::query(query).bind(id).bind(run.unwrap_or("")).execute(self.connection()).await?;
        if done.rows_affected() > 0 {
            sqlx::query("DELETE FROM taken_over WHERE center = $1")
                .bind(id)
                .execute(self.connection())
                .await?;
            sqlx::query("DELETE FROM plan_marks WHERE center = $1")
                .bind(id)
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }

    /// Ends connections that stand in the name of `holder`, of devices without an open upgrade, at most `limit`; says how
    /// many.
    pub async fn clear_sessions(
        &mut self,
        holder: Holder<'_>,
        sessions: Sessions<'_>,
        now: Millis,
        limit: i64,
    ) -> Result<u64> {
        let query = match holder {
            Holder::Center(_) => sqlx::query(CLEAR_SESSIONS_OF),
            Holder::Any => sqlx::query(CLEAR_ALL_SESSIONS),
        };
        let query = query.bind(now.0).bind(limit).bind(sessions.excluded());
        let query = match holder {
            Holder::Center(id) => query.bind(id),
            Holder::Any => query,
        };
        Ok(query.execute(self.connection()).await?.rows_affected())
    }

    /// The device has connected elsewhere: `center` is to close its connection `session`.
    pub async fn take_over(&mut self, center: &str, device: DeviceId, session: &str) -> Result<()> {
        sqlx::query("INSERT INTO taken_over (center, device_id, session) VALUES ($1, $2, $3)")
            .bind(center)
            .bind(device.0)
            .bind(session)
            .execute(self.connection())
            .await?;
        self.wake(center).await
    }

    /// Connections that `center` is to close, which are its affair from the commit on.
    pub async fn taken_over(&mut self, center: &str) -> Result<Vec<(DeviceId, String)>> {
        let rows = sqlx::query(TAKEN_OVER).bind(center).fetch_all(self.connection()).await?;
        rows.iter().map(|row| Ok((DeviceId(row.int("device_id")?), row.text("session")?))).collect()
    }

    /// Tells `center` after the commit that something is due for it; it finds out what at its next look anyway.
    pub async fn wake(&mut self, center: &str) -> Result<()> {
        if self.backend == Backend::Postgres && !Bug::ForgottenNotification.is_planted() {
            sqlx::query("SELECT pg_notify($1, $2)")
                .bind(super::wakeups::CHANNEL)
                .bind(center)
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }
}
