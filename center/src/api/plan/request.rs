//! A plan as a request gives it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::error::ApiError;
use crate::clock::Millis;
use crate::rules::DeviceKey;
use crate::rules::device_list::LIST_MAX;
use crate::rules::plan::PlanSettings;
use crate::store::{PackageId, Reader};

/// The plan's fields, without its lists of devices.
#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    #[serde(flatten)]
    pub(crate) settings: PlanSettings,
}

/// A request has the lists beside the fields; null empties a list.
impl JsonSchema for Given {
    fn schema_name() -> Cow<'static, str> {
        "PlanRequest".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = PlanSettings::json_schema(generator);
        let mut list = generator.subschema_for::<Option<Vec<DeviceKey>>>();
        list.insert("minItems".into(), 1.into());
        list.insert("maxItems".into(), LIST_MAX.into());
        for name in ["whitelist", "blacklist"] {
            schema.ensure_object()["properties"][name] = list.clone().to_value();
        }
        // The path names it, too.
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|name| name != "product");
        }
        schema.insert("additionalProperties".into(), false.into());
        schema
    }
}

/// A part of a plan: what is left out stays as it is.
pub(crate) struct Changes;

impl JsonSchema for Changes {
    fn schema_name() -> Cow<'static, str> {
        "PlanChanges".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Given::json_schema(generator);
        schema.remove("required");
        schema
    }
}

impl Given {
    /// Reads it, or names the field that cannot be read; `valid` is any plan that can.
    pub(crate) fn of(given: &Value, valid: &Value) -> Result<Self, ApiError> {
        let read = Self::deserialize(given).map_err(|error| {
            culprit(given, valid).unwrap_or_else(|| {
                ApiError::invalid("invalid", "plan", "", format!("the plan is not valid: {error}"))
            })
        })?;
        let taken = serde_json::to_value(&read.settings)?;
        if let Some((field, rule)) = not_taken(given, &taken) {
            return Err(ApiError::invalid("unknown_field", "field", &field, rule));
        }
        Ok(read)
    }
}

const LIST_FOR_OBJECT: &str = "it is an object, with its fields by name";

/// A plan that can be read, to try single fields of another one with.
pub(crate) fn sample() -> Value {
    json!({ "name": "n", "product": "p", "time_zone": "UTC", "components": [] })
}

/// The first field that a valid plan cannot have as it was given.
fn culprit(given: &Value, valid: &Value) -> Option<ApiError> {
    given.as_object()?.iter().find_map(|(name, value)| {
        let inner = value.as_object().filter(|_| name == "strategy");
        let tried = inner.and_then(|fields| {
            fields.iter().find_map(|(field, value)| {
                refused(valid, name, json!({ field.as_str(): value }), &format!("{name}.{field}"), value)
            })
        });
        tried.or_else(|| refused(valid, name, value.clone(), name, value))
    })
}

fn refused(valid: &Value, name: &str, tried: Value, field: &str, value: &Value) -> Option<ApiError> {
    let mut plan = valid.clone();
    plan[name] = tried;
    let error = Given::deserialize(&plan).err()?;
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Some(ApiError::invalid("invalid", field, &shown, error.to_string()))
}

/// `before` with the fields of `changes`; those of the strategy and the texts one by one, and null takes a text away.
pub(crate) fn merge(before: &Value, changes: &Value) -> Value {
    let mut merged = before.clone();
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value.as_object().filter(|_| name == "strategy" || name == "texts") {
            Some(fields) => {
                for (field, value) in fields {
                    merged[name][field] = value.clone();
                }
            }
            None => merged[name] = value.clone(),
        }
    }
    if let Some(texts) = merged["texts"].as_object_mut() {
        texts.retain(|_, text| !text.is_null());
    }
    merged
}

/// A name that is a number would be taken for a plan's number.
pub(crate) fn check_name(name: &str) -> Result<(), ApiError> {
    ApiError::check_seen("name", name)?;
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        let rule = "a name is no number: plans are named by either";
        return Err(ApiError::invalid("invalid", "name", name, rule));
    }
    Ok(())
}

/// An end that has passed never comes.
pub(crate) fn check_end(settings: &PlanSettings, now: Millis) -> Result<(), ApiError> {
    match settings.end {
        Some(end) if end <= now => {
            let rule = format!("it has passed, now is {now}; set a later one");
            Err(ApiError::invalid("end_passed", "end", &end.to_string(), rule))
        }
        _ => Ok(()),
    }
}

/// A package may go later, which activation finds out; one that never was, or is for something else, is a mistake of now.
pub(crate) async fn check_packages(store: &mut Reader, settings: &PlanSettings) -> Result<(), ApiError> {
    for selected in &settings.components {
        let value = format!("{}={}", selected.component, selected.package);
        let found = store.find_package(PackageId(selected.package)).await?;
        if let Some(package) = &found
            && (package.content.product != settings.product
                || package.content.component != selected.component)
        {
            let (product, component) = (&package.content.product, &package.content.component);
            let rule = format!("the package is for component {component} of product {product}");
            return Err(ApiError::invalid("other_component", "components", &value, rule));
        }
        if found.is_none() {
            let rule = format!(
                "there is no version package {}; `package list` shows those there are",
                selected.package
            );
            return Err(ApiError::invalid("package_missing", "components", &value, rule));
        }
    }
    Ok(())
}

/// The first field that was given and not taken as it is, and why: a misspelt one must not pass for one that was left out.
fn not_taken(given: &Value, taken: &Value) -> Option<(String, &'static str)> {
    match (given, taken) {
        (Value::Object(given), Value::Object(taken)) => {
            given.iter().find_map(|(name, value)| match taken.get(name) {
                Some(taken) => not_taken(value, taken).map(|(inner, rule)| {
                    let dot = if inner.is_empty() { "" } else { "." };
                    (format!("{name}{dot}{inner}"), rule)
                }),
                None => Some((name.clone(), "a plan has no such field")),
            })
        }
        (Value::Array(given), Value::Array(taken)) => {
            given.iter().zip(taken).find_map(|(given, taken)| not_taken(given, taken))
        }
        (Value::Array(_), Value::Object(_)) => Some((String::new(), LIST_FOR_OBJECT)),
        _ => None,
    }
}
