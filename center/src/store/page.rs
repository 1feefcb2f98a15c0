//! Lists in pages.

/// One page of a list, by keyset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Give it as `after` to get the next page; none: this is the last one.
    pub next: Option<i64>,
}

/// Rows of a page at most.
pub const PAGE_MAX: i64 = 1_000;

impl<T> Page<T> {
    /// Cuts `rows`, read with one more than `limit`, to a page.
    pub(super) fn of(mut rows: Vec<T>, limit: i64, id: impl Fn(&T) -> i64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(id) } else { None };
        Page { rows, next }
    }
}
