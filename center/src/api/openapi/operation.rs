//! What a route takes and answers, as the types of its handler say it.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::handler::Handler;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use schemars::generate::{Contract, SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::api::Api;
use crate::peer::Peer;

/// Describes one route after the other; the schemas of what they answer have names, and are shared.
pub struct Describer {
    answers: SchemaGenerator,
    requests: SchemaGenerator,
    pub(super) operation: Described,
}

/// One route.
#[derive(Default)]
pub(super) struct Described {
    /// Schemas of the names in the path, from left to right.
    pub(super) segments: Vec<Value>,
    /// Parameters of the query and the head.
    pub(super) parameters: Vec<Value>,
    pub(super) body: Option<Value>,
    /// By status.
    pub(super) answers: BTreeMap<u16, Value>,
    /// Statuses of problems that come of what the route takes.
    pub(super) problems: BTreeSet<u16>,
}

impl Describer {
    pub(super) fn new() -> Self {
        let settings = |contract: Contract, inline: bool| {
            let settings = SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
                settings.contract = contract;
                settings.inline_subschemas = inline;
            });
            settings.into_generator()
        };
        Self {
            answers: settings(Contract::Serialize, false),
            requests: settings(Contract::Deserialize, true),
            operation: Described::default(),
        }
    }

    /// What was described since the last call.
    pub(super) fn take(&mut self) -> Described {
        std::mem::take(&mut self.operation)
    }

    /// The schemas that answers refer to.
    pub(super) fn definitions(&mut self) -> Value {
        Value::Object(self.answers.take_definitions(true))
    }

    /// The schema of an answer.
    pub(crate) fn answer_schema<T: JsonSchema>(&mut self) -> Schema {
        self.answers.subschema_for::<T>()
    }

    pub(crate) fn request_schema<T: JsonSchema>(&mut self) -> Schema {
        self.requests.subschema_for::<T>()
    }

    /// The names of the path, from left to right.
    pub(crate) fn path<A: JsonSchema>(&mut self) {
        let schema = self.request_schema::<A>().to_value();
        // Several names are a tuple.
        let segments = match schema.get("prefixItems") {
            Some(Value::Array(segments)) => segments.clone(),
            _ => vec![schema],
        };
        self.operation.segments = segments;
        self.operation.problems.extend([400, 404, 422]);
    }

    /// The schema of a field of a form.
    pub(crate) fn form_field<T: JsonSchema>(&mut self) -> Value {
        self.request_schema::<T>().to_value()
    }

    /// The same of a field that a form may send empty, as browsers do, which is as if it were left out.
    pub(crate) fn form_field_or_empty<T: JsonSchema>(&mut self) -> Value {
        json!({ "anyOf": [self.form_field::<T>(), { "type": "string", "maxLength": 0 }] })
    }

    pub(crate) fn query<T: JsonSchema>(&mut self) {
        let schema = self.request_schema::<T>().to_value();
        let required = |name: &str| {
            schema["required"].as_array().is_some_and(|required| required.iter().any(|known| known == name))
        };
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let mut property = property.clone();
            // What a query leaves out is not null.
            if let Some(kinds) = property["type"].as_array() {
                property["type"] = kinds.iter().find(|kind| **kind != "null").cloned().unwrap_or_default();
            }
            if let Some(values) = property.get_mut("enum").and_then(Value::as_array_mut) {
                values.retain(|value| !value.is_null());
            }
            let described = property.as_object_mut().and_then(|fields| fields.remove("description"));
            let mut parameter =
                json!({ "name": name, "in": "query", "required": required(name), "schema": property });
            if let Some(description) = described {
                parameter["description"] = description;
            }
            self.operation.parameters.push(parameter);
        }
        self.operation.problems.extend([400, 422]);
    }

    /// Parameters that the query does not have, although its type has them.
    pub(crate) fn without(&mut self, names: &[&str]) {
        self.operation.parameters.retain(|parameter| !names.iter().any(|name| parameter["name"] == *name));
    }

    pub(crate) fn header(&mut self, name: &str, description: &str, schema: Value) {
        self.operation.parameters.push(json!({
            "name": name, "in": "header", "required": false, "description": description, "schema": schema,
        }));
    }

    pub(crate) fn body(&mut self, media: &str, required: bool, schema: Value) {
        self.operation.body =
            Some(json!({ "required": required, "content": { media: { "schema": schema } } }));
        self.operation.problems.extend([400, 408, 413, 415, 422]);
    }

    /// What the name of a form's file may look like.
    pub(crate) fn file_name(&mut self, field: &str, example: &str) {
        let example = format!("form-data; name=\"{field}\"; filename=\"{example}\"");
        let header = json!({ "schema": { "type": "string" }, "example": example });
        if let Some(body) = &mut self.operation.body {
            let headers = json!({ "headers": { "Content-Disposition": header } });
            body["content"]["multipart/form-data"]["encoding"][field] = headers;
        }
    }

    pub(crate) fn json_body<T: JsonSchema>(&mut self, required: bool) {
        let schema = self.request_schema::<T>().to_value();
        self.body("application/json", required, schema);
    }

    /// An answer of this status; without a media type it has no body.
    pub(crate) fn answer(&mut self, status: StatusCode, description: &str, content: Option<(&str, Value)>) {
        let mut answer = json!({ "description": description });
        if let Some((media, schema)) = content {
            answer["content"] = json!({ media: { "schema": schema } });
        }
        self.operation.answers.insert(status.as_u16(), answer);
    }
}

impl Describer {
    /// A refusal that only this route has.
    pub(crate) fn problem(&mut self, status: StatusCode) {
        self.operation.problems.insert(status.as_u16());
    }
}

/// What a handler takes.
pub trait Input {
    /// Says what of it a request brings; nothing, unless said otherwise.
    fn describe(_shape: &mut Describer) {}
}

impl Input for State<Api> {}
impl Input for HeaderMap {}
impl Input for Method {}
impl Input for Peer {}
impl<T, E> Input for Result<T, E> {}

/// What a handler answers if all goes well.
pub trait Output {
    /// Says what it is.
    fn describe(describer: &mut Describer);
}

impl<T: JsonSchema> Output for Json<T> {
    fn describe(describer: &mut Describer) {
        let schema = describer.answer_schema::<T>().to_value();
        describer.answer(StatusCode::OK, "Done, or what was asked for", Some(("application/json", schema)));
    }
}

impl<T: Output, E> Output for Result<T, E> {
    fn describe(describer: &mut Describer) {
        T::describe(describer);
    }
}

/// An answer with headers beside it.
impl<T: Output, V, const N: usize> Output for ([(HeaderName, V); N], T) {
    fn describe(describer: &mut Describer) {
        T::describe(describer);
    }
}

/// A handler that can be described. `T` are the types that it takes, with axum's mark before them.
pub trait Operation<T>: Handler<T, Api> {
    /// Says what it takes and answers.
    fn describe(describer: &mut Describer);
}

macro_rules! operation {
    ($($input:ident)*) => {
        impl<F, Answering, Answered, M, $($input,)*> Operation<(M, $($input,)*)> for F
        where
            F: FnOnce($($input,)*) -> Answering + Handler<(M, $($input,)*), Api>,
            Answering: Future<Output = Answered>,
            Answered: Output,
            $($input: Input,)*
        {
            fn describe(describer: &mut Describer) {
                $($input::describe(describer);)*
                Answered::describe(describer);
            }
        }
    };
}

operation!(A);
operation!(A B);
operation!(A B C);
operation!(A B C D);
operation!(A B C D E);
operation!(A B C D E G);
