//! A SELECT statement that grows with the filters that are given.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::{Reader, Result};

/// A range of values, both ends included; an end that is none is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Lowest value.
    pub from: Option<i64>,
    /// Highest value.
    pub until: Option<i64>,
}

impl Span {
    pub(super) fn is_given(self) -> bool {
        self.from.is_some() || self.until.is_some()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bind {
    Number(i64),
    Text(String),
}

/// A statement that grows.
#[derive(Debug)]
pub(super) struct Select {
    pub(super) text: String,
    pub(super) binds: Vec<Bind>,
}

impl Select {
    /// Appends ` AND condition`, in which `?` is the value.
    pub(super) fn and(&mut self, condition: &str, value: Bind) {
        self.text.push_str(" AND ");
        self.put(condition, value);
    }

    pub(super) fn put(&mut self, condition: &str, value: Bind) {
        self.binds.push(value);
        self.text.push_str(&condition.replacen('?', &format!("${}", self.binds.len()), 1));
    }

    pub(super) fn within(&mut self, column: &str, span: Span) {
        if let Some(from) = span.from {
            self.and(&format!("{column} >= ?"), Bind::Number(from));
        }
        if let Some(until) = span.until {
            self.and(&format!("{column} <= ?"), Bind::Number(until));
        }
    }
}

impl Reader {
    /// The rows that it finds.
    pub(super) async fn rows(&mut self, select: Select) -> Result<Vec<AnyRow>> {
        let mut query = sqlx::query(AssertSqlSafe(select.text));
        for bind in select.binds {
            query = match bind {
                Bind::Number(number) => query.bind(number),
                Bind::Text(text) => query.bind(text),
            };
        }
        Ok(query.fetch_all(self.connection()).await?)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::row::Columns;

    /// The steps that SQLite takes; PostgreSQL has the same indexes.
    async fn steps(select: Select) -> (String, Vec<String>) {
        let store = Store::in_memory().await.unwrap();
        let text = select.text.clone();
        let explain = Select { text: format!("EXPLAIN QUERY PLAN {text}"), binds: select.binds };
        let rows = store.read().await.unwrap().rows(explain).await.unwrap();
        (text, rows.iter().map(|row| row.text("detail").unwrap()).collect())
    }

    /// Asserts that the statement needs no scan and no sort, and that this index leads it.
    pub async fn is_led_by(select: Select, index: &str) {
        let (text, steps) = steps(select).await;
        assert!(steps[0].starts_with("SEARCH") && steps[0].contains(index), "{text}\n{steps:#?}");
        let rest = steps.iter().any(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE"));
        assert!(!rest, "{text}\n{steps:#?}");
    }
}
