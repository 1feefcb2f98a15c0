//! Lists, page by page.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::ApiError;
use crate::store::{Page, ReasonPlace};

/// Items of a page if the request does not say how many.
const LIMIT: i64 = 100;
/// Most items of a page.
const LIMIT_MAX: i64 = 1_000;

/// What tells where a page of a list begins: something of the last item of the page before.
pub(super) trait Place {
    /// What its text looks like; none: any text is one.
    const PATTERN: Option<&'static str>;
}

/// The item's number.
#[derive(Debug, Default)]
pub(super) struct Number;
/// The item's key; the list is in the order of keys.
#[derive(Debug, Default)]
pub(super) struct Key;

impl Place for Number {
    const PATTERN: Option<&'static str> = Some("^[0-9]{0,18}$");
}

impl Place for Key {
    const PATTERN: Option<&'static str> = None;
}

impl Place for ReasonPlace {
    const PATTERN: Option<&'static str> = Some(
        "^([0-9]{1,18} (no_update_required|not_upgraded|upgrading|upgraded|upgrade_failed) [^\\u0000]*)?$",
    );
}

/// `after` of a list, in a schema.
pub(super) struct After<P>(PhantomData<P>);

impl<P: Place> JsonSchema for After<P> {
    fn schema_name() -> Cow<'static, str> {
        "After".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = schemars::json_schema!({ "type": "string" });
        if let Some(pattern) = P::PATTERN {
            schema.insert("pattern".to_owned(), json!(pattern));
        }
        schema
    }
}

/// Which part of a list is asked for: `?after=...&limit=...`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, bound = "")]
pub(super) struct Part<P = Number> {
    after: Option<String>,
    limit: Option<String>,
    #[serde(skip)]
    place: PhantomData<P>,
}

impl<P: Place> JsonSchema for Part<P> {
    fn schema_name() -> Cow<'static, str> {
        "Part".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut after = After::<P>::json_schema(generator);
        let description = "The `next` of the page before; empty: from the beginning on.";
        after.insert("description".to_owned(), json!(description));
        let limit = json!({
            "type": "integer", "format": "int64", "minimum": 1, "maximum": LIMIT_MAX,
            "description": "Items of a page at most.",
        });
        schemars::json_schema!({
            "type": "object", "properties": { "after": after, "limit": limit }, "additionalProperties": false,
        })
    }
}

impl<P> Part<P> {
    /// Most items of the answer: 1 to 1000, 100 if not given.
    pub(super) fn limit(&self) -> Result<i64, ApiError> {
        let Some(given) = &self.limit else { return Ok(LIMIT) };
        let limit = given.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| {
            ApiError::invalid("invalid", "limit", given, format!("a number from 1 to {LIMIT_MAX}"))
        })
    }

    fn given(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }

    fn wrong(&self) -> ApiError {
        ApiError::invalid("invalid", "after", self.given(), "the `next` of the page before")
    }
}

impl Part {
    /// The part of a list whose query has fields of its own.
    pub(super) fn of(after: Option<String>, limit: Option<String>) -> Self {
        Self { after, limit, place: PhantomData }
    }

    /// The number of the last item seen; 0 at the beginning.
    pub(super) fn after(&self) -> Result<i64, ApiError> {
        let given = self.given();
        let is_number = given.len() <= 18 && given.bytes().all(|byte| byte.is_ascii_digit());
        if given.is_empty() {
            return Ok(0);
        }
        given.parse().ok().filter(|_| is_number).ok_or_else(|| self.wrong())
    }
}

impl Part<Key> {
    /// The key of the last item seen; empty at the beginning.
    pub(super) fn after(&self) -> &str {
        self.given()
    }
}

impl Part<ReasonPlace> {
    /// The place of the last item seen; none at the beginning.
    pub(super) fn after(&self) -> Result<Option<ReasonPlace>, ApiError> {
        let given = Some(self.given()).filter(|given| !given.is_empty());
        given.map(str::parse).transpose().map_err(|()| self.wrong())
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
