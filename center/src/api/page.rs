//! Lists, page by page.

use serde::{Deserialize, Serialize};

use super::error::ApiError;
use crate::store::Page;

/// Items of a page if the request does not say how many.
const LIMIT: i64 = 100;
/// Most items of a page.
const LIMIT_MAX: i64 = 1_000;

/// Which part of a list is asked for: `?after=...&limit=...`.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of a page at most.
    #[schemars(with = "Option<i64>", range(min = 1, max = 1000))]
    limit: Option<String>,
}

impl Part {
    /// The part of a list whose query has fields of its own.
    pub(super) fn of(after: Option<String>, limit: Option<String>) -> Self {
        Self { after, limit }
    }

    /// Most items of the answer: 1 to 1000, 100 if not given.
    pub(super) fn limit(&self) -> Result<i64, ApiError> {
        let Some(given) = &self.limit else { return Ok(LIMIT) };
        let limit = given.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| {
            ApiError::invalid("invalid", "limit", given, format!("a number from 1 to {LIMIT_MAX}"))
        })
    }

    /// The number of the last item seen; 0 at the beginning.
    pub(super) fn after(&self) -> Result<i64, ApiError> {
        let Some(given) = &self.after else { return Ok(0) };
        let after = given.parse().ok().filter(|after| *after >= 0);
        after.ok_or_else(|| ApiError::invalid("invalid", "after", given, "the `next` of the page before"))
    }

    /// The key of the last item seen; empty at the beginning.
    pub(super) fn after_key(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }
}

/// A page of what is in the caller's reach, gathered from as many pages of the store as it takes to fill it.
pub(super) struct Gathered<R> {
    rows: Vec<R>,
    limit: usize,
    next: Option<i64>,
}

impl<R> Gathered<R> {
    /// Nothing yet.
    pub(super) fn up_to(limit: i64) -> Self {
        Self { rows: Vec::new(), limit: usize::try_from(limit).unwrap_or_default(), next: None }
    }

    /// Takes what is in reach of a page of the store; says where the next one begins, if it is needed.
    pub(super) fn take(
        &mut self,
        page: Page<R>,
        is_in_reach: impl Fn(&R) -> bool,
        number: impl Fn(&R) -> i64,
    ) -> Option<i64> {
        for row in page.rows.into_iter().filter(is_in_reach) {
            if self.rows.len() == self.limit {
                self.next = self.rows.last().map(number);
                return None;
            }
            self.rows.push(row);
        }
        page.next
    }

    pub(super) fn page(self) -> Page<R> {
        Page { rows: self.rows, next: self.next }
    }
}

/// A page of a list: `next` is the `after` of the next page; null: this is the last one.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub(super) struct Answer<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

impl<T> Answer<T> {
    pub(super) fn of<R>(page: Page<R>, item: impl FnMut(R) -> T) -> Self {
        Self {
            items: page.rows.into_iter().map(item).collect(),
            next: page.next.map(|next| next.to_string()),
        }
    }

    /// A page of a list that the store gives whole, in the order of `key`.
    pub(super) fn cut(rows: impl Iterator<Item = T>, limit: i64, key: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit).unwrap_or_default();
        let mut items: Vec<T> = rows.take(limit.saturating_add(1)).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(key) } else { None };
        Self { items, next }
    }
}
