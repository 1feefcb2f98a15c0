//! How a row is read: columns by name, into types that hold their rules.

use std::fmt::Display;
use std::str::FromStr;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Result, StoreError};

/// Columns of a row by name. A value that breaks the rule of its type is [`StoreError::Unusable`].
pub(super) trait Columns {
    fn int(&self, column: &'static str) -> Result<i64>;
    fn maybe_int(&self, column: &'static str) -> Result<Option<i64>>;
    fn text(&self, column: &'static str) -> Result<String>;
    fn maybe_text(&self, column: &'static str) -> Result<Option<String>>;

    /// A text that obeys the rule of its type.
    fn word<T: FromStr<Err: Display>>(&self, column: &'static str) -> Result<T> {
        parsed(column, &self.text(column)?)
    }

    fn maybe_word<T: FromStr<Err: Display>>(&self, column: &'static str) -> Result<Option<T>> {
        self.maybe_text(column)?.map(|text| parsed(column, &text)).transpose()
    }

    /// A whole number in the range of its type.
    fn number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T> {
        in_range(column, self.int(column)?)
    }

    fn maybe_number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>> {
        self.maybe_int(column)?.map(|value| in_range(column, value)).transpose()
    }
}

fn parsed<T: FromStr<Err: Display>>(column: &str, text: &str) -> Result<T> {
    text.parse().map_err(|error| StoreError::Unusable(format!("column {column}: {error}")))
}

fn in_range<T: TryFrom<i64>>(column: &str, value: i64) -> Result<T> {
    T::try_from(value)
        .map_err(|_| StoreError::Unusable(format!("column {column}: {value} is out of its range")))
}

/// Columns of a row whose names begin with a prefix: a join has several of one name.
pub(super) struct Aliased<'r> {
    pub row: &'r AnyRow,
    pub prefix: &'static str,
}

impl<'r> Aliased<'r> {
    fn get<T: sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>>(&self, column: &str) -> Result<T> {
        Ok(self.row.try_get(&*format!("{}{column}", self.prefix))?)
    }
}

impl Columns for Aliased<'_> {
    fn int(&self, column: &'static str) -> Result<i64> {
        self.get(column)
    }

    fn maybe_int(&self, column: &'static str) -> Result<Option<i64>> {
        self.get(column)
    }

    fn text(&self, column: &'static str) -> Result<String> {
        self.get(column)
    }

    fn maybe_text(&self, column: &'static str) -> Result<Option<String>> {
        self.get(column)
    }
}

impl Columns for AnyRow {
    fn int(&self, column: &'static str) -> Result<i64> {
        Ok(self.try_get(column)?)
    }

    fn maybe_int(&self, column: &'static str) -> Result<Option<i64>> {
        Ok(self.try_get(column)?)
    }

    fn text(&self, column: &'static str) -> Result<String> {
        Ok(self.try_get(column)?)
    }

    fn maybe_text(&self, column: &'static str) -> Result<Option<String>> {
        Ok(self.try_get(column)?)
    }
}
