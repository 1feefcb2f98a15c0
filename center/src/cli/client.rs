//! A client of the REST API.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::multipart::Form;
use ureq::{Agent, Body, BodyReader, RequestBuilder, SendBody};

pub use super::error::ClientError;
use super::profile::Profiles;
use super::refusal::Refusal;
use super::{Connection, DEFAULT_SERVER, Output};
use crate::config::DataFolder;

/// Asks one center.
pub(super) struct Client {
    agent: Agent,
    server: String,
    /// Headers that say who asks.
    who: Vec<(&'static str, String)>,
    /// How the answer is wanted: as the API's JSON, or in words.
    pub(super) json: bool,
}

impl Client {
    pub(super) fn new(connection: &Connection) -> Result<Self, ClientError> {
        let given = connection.token.clone().filter(|token| !token.is_empty());
        let folder = DataFolder::existing(&connection.data);
        let (server, ca, token) = match (&connection.center, given) {
            (None, Some(token)) => (None, None, token),
            (center, given) => match folder.known_token().filter(|_| center.is_none()) {
                Some(token) => (None, None, token),
                None => {
                    let profiles = Profiles::load()?;
                    let profile = profiles.find(center.as_deref())?.ok_or_else(|| ClientError::NoToken {
                        looked: connection.data.join("token").display().to_string(),
                    })?;
                    let token = given.unwrap_or_else(|| profile.token.clone());
                    (Some(profile.server.clone()), profile.ca.clone(), token)
                }
            },
        };
        let server = connection.server.clone().or(server).unwrap_or_else(|| DEFAULT_SERVER.to_owned());
        let mut client = Self::with_token(&server, connection.ca.clone().or(ca).as_deref(), &token)?;
        client.json = connection.output() == Output::Json;
        Ok(client)
    }

    /// A client that shows this token.
    pub(super) fn with_token(server: &str, ca: Option<&Path>, token: &str) -> Result<Self, ClientError> {
        let mut client = Self::stranger(server, ca)?;
        client.who = vec![("Authorization", format!("Bearer {token}"))];
        Ok(client)
    }

    /// A client that shows nothing. `ca`: what the center's certificate must be signed by.
    pub(super) fn stranger(server: &str, ca: Option<&Path>) -> Result<Self, ClientError> {
        let server = server.trim_end_matches('/').to_owned();
        if !(server.starts_with("http://") || server.starts_with("https://")) {
            return Err(ClientError::Server { server });
        }
        let tls = match ca {
            Some(file) => {
                TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[authority(file)?])).build()
            }
            None => TlsConfig::default(),
        };
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_send_request(Some(Duration::from_secs(30)))
            // 500 MB over a slow line.
            .timeout_send_body(Some(Duration::from_secs(60 * 60)))
            // An upload is committed to disk before it is answered.
            .timeout_recv_response(Some(Duration::from_secs(120)))
            .timeout_recv_body(Some(Duration::from_secs(60)))
            .build()
            .into();
        Ok(Self { agent, server, who: Vec::new(), json: false })
    }

    /// Begins a session by what is posted to `path`; gives the answer and the cookie.
    pub(super) fn sign_in(&self, path: &str, body: &Value) -> Result<(Value, String), ClientError> {
        let answer = self.agent.post(self.url(path)).send_json(body);
        let cookie = answer.as_ref().ok().and_then(|answer| answer.headers().get("set-cookie"));
        let cookie = cookie.and_then(|cookie| cookie.to_str().ok()?.split(';').next()).unwrap_or_default();
        let cookie = cookie.to_owned();
        Ok((self.read(answer)?, cookie))
    }

    /// The same client in a session.
    pub(super) fn in_session(self, cookie: &str, csrf: &str) -> Self {
        let who = vec![("Cookie", cookie.to_owned()), ("X-CSRF-Token", csrf.to_owned())];
        Self { who, ..self }
    }

    /// The request with the headers that say who asks.
    fn known<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        self.who.iter().fold(request, |request, (name, value)| request.header(*name, value))
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, ClientError> {
        let request = self.known(self.agent.get(self.url(path)));
        self.read(request.call())
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        let request = self.known(self.agent.post(self.url(path)));
        self.read(request.send_json(body))
    }

    pub(super) fn patch(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        let request = self.known(self.agent.patch(self.url(path)));
        self.read(request.send_json(body))
    }

    pub(super) fn put(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        let request = self.known(self.agent.put(self.url(path)));
        self.read(request.send_json(body))
    }

    pub(super) fn delete(&self, path: &str) -> Result<Value, ClientError> {
        let request = self.known(self.agent.delete(self.url(path)));
        self.read(request.call())
    }

    /// Sends the bytes of an answer to `out`.
    pub(super) fn download(&self, path: &str, out: &mut dyn io::Write) -> Result<(), ClientError> {
        let request = self.known(self.agent.get(self.url(path)));
        // 100 MB over a slow line.
        let request = request.config().timeout_recv_body(Some(Duration::from_secs(60 * 60))).build();
        match request.call() {
            Ok(mut answer) if answer.status().is_success() => {
                let copied = io::copy(&mut answer.body_mut().as_reader(), out);
                copied.map(|_| ()).map_err(ClientError::Broken)
            }
            answer => self.read(answer).map(|_| ()),
        }
    }

    pub(super) fn upload(&self, path: &str, form: Form<'_>) -> Result<Value, ClientError> {
        let request = self.known(self.agent.post(self.url(path)));
        self.read(request.send(form))
    }

    /// Sends a file as it is; `-` is standard input.
    pub(super) fn send_file(&self, path: &str, file: &Path) -> Result<Value, ClientError> {
        let request = self.known(self.agent.post(self.url(path)));
        let request = request.content_type("text/csv");
        if file == Path::new("-") {
            return self.read(request.send(SendBody::from_owned_reader(io::stdin())));
        }
        let wrong = |error: io::Error| ClientError::File {
            path: file.display().to_string(),
            cause: error.to_string(),
        };
        let content = File::open(file).map_err(wrong)?;
        let about = content.metadata().map_err(wrong)?;
        if about.is_dir() {
            return Err(wrong(io::ErrorKind::IsADirectory.into()));
        }
        // The length of a pipe is not known: it is sent in chunks.
        let request = match about.is_file() {
            true => request.header("Content-Length", about.len().to_string()),
            false => request,
        };
        self.read(request.send(SendBody::from_owned_reader(content)))
    }

    /// Writes an answer that is no JSON to standard output while it comes in.
    pub(super) fn print(&self, path: &str) -> Result<(), ClientError> {
        let request = self.known(self.agent.get(self.url(path)));
        let mut answer = match request.call() {
            Ok(answer) if answer.status().is_success() => answer,
            // A refusal is JSON.
            refused => return self.read(refused).map(drop),
        };
        let mut out = io::stdout().lock();
        match io::copy(&mut answer.body_mut().as_reader(), &mut out).and_then(|_| out.flush()) {
            // Whoever read the output has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(ClientError::Output),
        }
    }

    /// A stream of events from behind the event `last` on, for a minute at most; none: there is nothing more to come.
    pub(super) fn events(&self, path: &str, last: &str) -> Result<Option<BodyReader<'static>>, ClientError> {
        let mut request = self.known(self.agent.get(self.url(path))).header("Accept", "text/event-stream");
        if !last.is_empty() {
            request = request.header("Last-Event-ID", last);
        }
        match request.call() {
            Ok(answer) if answer.status() == 204 => Ok(None),
            Ok(answer) if answer.status().is_success() => Ok(Some(answer.into_body().into_reader())),
            // A refusal is JSON.
            refused => self.read(refused).map(|_| None),
        }
    }

    /// The number of a plan that is given by its number or its name.
    pub(super) fn plan(&self, given: &str) -> Result<String, ClientError> {
        if is_number(given) {
            return Ok(given.to_owned());
        }
        let named = self.get(&format!("plans{}", query(&[("name", Some(given.to_owned()))])))?;
        match named.pointer("/items/0/id") {
            Some(number) => Ok(number.to_string()),
            None => Err(ClientError::Argument(format!(
                "there is no upgrade plan {given:?}; `plan list` shows numbers and names"
            ))),
        }
    }

    /// All items of a list, page after page.
    pub(super) fn list(&self, path: &str) -> Result<Value, ClientError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut next = self.get(path)?;
        loop {
            if let Some(Value::Array(page)) = next.get_mut("items").map(Value::take) {
                items.extend(page);
            }
            match next.get("next").and_then(Value::as_str) {
                Some(after) => next = self.get(&format!("{path}{separator}after={}", segment(after)))?,
                None => return Ok(json!({ "items": items, "next": null })),
            }
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.server)
    }

    fn read(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Value, ClientError> {
        let unreachable = |error: ureq::Error| match error {
            ureq::Error::BadUri(_) => ClientError::Server { server: self.server.clone() },
            error => ClientError::Unreachable { server: self.server.clone(), cause: error.to_string() },
        };
        let mut answer = answer.map_err(unreachable)?;
        let status = answer.status();
        let text = answer.body_mut().read_to_string().map_err(unreachable)?;
        let no_center = || ClientError::NoCenter { server: self.server.clone(), status: status.as_u16() };
        let value: Value = serde_json::from_str(&text).map_err(|_| no_center())?;
        if status.is_success() {
            return Ok(value);
        }
        let refusal = Refusal::of(&value).ok_or_else(no_center)?;
        Err(ClientError::Refused(Box::new(refusal)))
    }
}

fn authority(file: &Path) -> Result<Certificate<'static>, ClientError> {
    let wrong = |cause: String| ClientError::File { path: file.display().to_string(), cause };
    let pem = fs::read(file).map_err(|error| wrong(error.to_string()))?;
    Certificate::from_pem(&pem).map_err(|_| wrong("it holds no `BEGIN CERTIFICATE`".to_owned()))
}

/// The fields that have a value as a query, with its question mark; empty: none has one.
pub(super) fn query(fields: &[(&str, Option<String>)]) -> String {
    let given: Vec<String> = fields
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", segment(value.as_deref()?))))
        .collect();
    if given.is_empty() { String::new() } else { format!("?{}", given.join("&")) }
}

/// Whether a plan or package is given by its number.
pub(super) fn is_number(given: &str) -> bool {
    !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name as one segment of a path or one value of a query.
pub(super) fn segment(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_segment() {
        assert_eq!(segment("a/b?c=ü %"), "a%2Fb%3Fc%3D%C3%BC%20%25");
    }
}
