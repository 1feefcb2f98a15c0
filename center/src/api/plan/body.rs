//! The body of a request that may hold a plan's lists of devices: tens of megabytes, of which nothing else is made than the
//! keys themselves.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::{StatusCode, header};
use schemars::JsonSchema;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lists::empty;
use crate::api::error::ApiError;
use crate::api::extract::check_values;
use crate::api::openapi::operation::{Describer, Input};
use crate::api::{Api, BODY_MAX};
use crate::rules::DeviceKey;
use crate::rules::device_list::{LIST_MAX, ListFault};
use crate::rules::plan::List;

/// Values that a plan has at most beside its lists.
const VALUES_MAX: usize = 10_000;
/// Bodies with lists that are read at the same time: each takes some hundred megabytes.
const AT_ONCE: usize = 2;

/// Whose turn it is to bring a body with lists.
#[derive(Clone)]
pub struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// A plan's fields, with the lists of devices that were given; an empty one was given as null. The API's description calls
/// it a `T`.
pub struct PlanBody<T> {
    pub(super) fields: Value,
    pub(super) whitelist: Option<Vec<DeviceKey>>,
    pub(super) blacklist: Option<Vec<DeviceKey>>,
    _turn: Option<OwnedSemaphorePermit>,
    described: PhantomData<T>,
}

impl<T: JsonSchema> Input for PlanBody<T> {
    fn describe(describer: &mut Describer) {
        describer.json_body::<T>(true);
    }
}

impl<T> FromRequest<Api> for PlanBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let kind = text(header::CONTENT_TYPE).unwrap_or_default();
        if !kind.starts_with("application/json") && !kind.contains("+json") {
            let message = "the body must be JSON: send the header `Content-Type: application/json`";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "body", message));
        }
        let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
        let turn = match length {
            Some(length) if length <= BODY_MAX => None,
            // The semaphore is never closed.
            _ => Turns::from_ref(api).0.acquire_owned().await.ok(),
        };
        let body = Bytes::from_request(request, api).await.map_err(ApiError::from)?;
        let mut read = read(&body)?;
        check_values(&mut read.fields)?;
        read._turn = turn;
        Ok(read)
    }
}

impl FromRef<Api> for Turns {
    fn from_ref(api: &Api) -> Turns {
        api.turns.clone()
    }
}

fn read<T>(body: &[u8]) -> Result<PlanBody<T>, ApiError> {
    let fault = RefCell::new(None);
    let left = Cell::new(VALUES_MAX);
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = Fields { fault: &fault, left: &left, described: PhantomData }
        .deserialize(&mut json)
        .and_then(|read| json.end().map(|()| read));
    // What a list breaks is known in more words than the parser has.
    if let Some(fault) = fault.into_inner() {
        return Err(fault);
    }
    Ok(read?)
}

/// The fields of the plan.
struct Fields<'a, T> {
    fault: &'a RefCell<Option<ApiError>>,
    left: &'a Cell<usize>,
    described: PhantomData<T>,
}

impl<'de, T> DeserializeSeed<'de> for Fields<'_, T> {
    type Value = PlanBody<T>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<PlanBody<T>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, T> Visitor<'de> for Fields<'_, T> {
    type Value = PlanBody<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the fields of a plan")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PlanBody<T>, A::Error> {
        let (mut fields, mut whitelist, mut blacklist) = (Map::new(), None, None);
        while let Some(name) = map.next_key::<String>()? {
            let keys = |list| Keys { list, fault: self.fault };
            match name.as_str() {
                "whitelist" => whitelist = Some(map.next_value_seed(keys(List::White))?),
                "blacklist" => blacklist = Some(map.next_value_seed(keys(List::Black))?),
                _ => {
                    let value = map.next_value_seed(Bounded(self.left))?;
                    fields.insert(name, value);
                }
            }
        }
        Ok(PlanBody {
            fields: Value::Object(fields),
            whitelist,
            blacklist,
            _turn: None,
            described: PhantomData,
        })
    }
}

/// The keys of a list; null is the empty one.
struct Keys<'a> {
    list: List,
    fault: &'a RefCell<Option<ApiError>>,
}

impl Keys<'_> {
    fn refuse<E: Error>(&self, fault: ApiError) -> E {
        *self.fault.borrow_mut() = Some(fault);
        E::custom("a list of devices")
    }

    fn invalid(&self, value: &str, rule: impl Into<String>) -> ApiError {
        ApiError::invalid("invalid", &format!("{}list", self.list), value, rule)
    }
}

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = Vec<DeviceKey>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = Vec<DeviceKey>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in the {}list a list of device keys", self.list)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut keys = Vec::new();
        while let Some(text) = seq.next_element::<String>()? {
            if keys.len() == LIST_MAX {
                return Err(self.refuse(self.invalid("", ListFault::TooLong.to_string())));
            }
            keys.push(
                DeviceKey::new(text).map_err(|fault| self.refuse(self.invalid(&fault.value, fault.rule)))?,
            );
        }
        if keys.is_empty() {
            return Err(self.refuse(empty(self.list)));
        }
        Ok(keys)
    }
}

/// Any value with a bound on how many it holds.
struct Bounded<'a>(&'a Cell<usize>);

impl Bounded<'_> {
    fn count<E: Error>(&self) -> Result<(), E> {
        let wrong = || E::custom(format!("more than {VALUES_MAX} values, which no plan has"));
        self.0.set(self.0.get().checked_sub(1).ok_or_else(wrong)?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        self.count()?;
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Bounded(self.0))? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(Bounded(self.0))?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &[u8]) -> Result<PlanBody<()>, ApiError> {
        super::read(body)
    }

    fn message(body: &str) -> String {
        read(body.as_bytes()).err().unwrap().message().to_owned()
    }

    #[test]
    fn lists_are_read_beside_the_fields() {
        let body = r#"{"name": "A", "whitelist": ["8600", "8601"], "strategy": {"x": [1, -1, 0.5, null, true]}, "blacklist": null}"#;
        let read = read(body.as_bytes()).unwrap();
        assert_eq!(read.fields, json!({ "name": "A", "strategy": { "x": [1, -1, 0.5, null, true] } }));
        assert_eq!((read.whitelist.unwrap().len(), read.blacklist.unwrap().len()), (2, 0));
        assert!(super::read::<()>(b"{}").unwrap().whitelist.is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(message(r#"{"whitelist": ["8600", "86 00"]}"#).contains("whitelist \"86 00\""));
        assert!(message(r#"{"blacklist": []}"#).contains("no device key in it"));
        assert!(message(r#"{"whitelist": 5}"#).contains("in the whitelist a list of device keys"));
        assert!(message("[]").contains("an object"));
        assert!(message("{} {}").contains("trailing"));
        let many = format!(r#"{{"whitelist": [{}"8"]}}"#, r#""8","#.repeat(LIST_MAX));
        assert!(message(&many).contains("more than 1000000"), "{}", message(&many));
        let values: String = (0..=VALUES_MAX).map(|number| format!(r#""k{number}":0,"#)).collect();
        assert!(message(&format!(r#"{{{values}"z":0}}"#)).contains("more than 10000 values"));
        assert!(
            message(&format!(r#"{{"a":{}1{}}}"#, "[".repeat(200), "]".repeat(200))).contains("recursion")
        );
    }
}
