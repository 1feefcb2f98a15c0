//! The table of routes. A route cannot be entered without saying what it requires of its caller.

use std::fmt;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, on};

use super::Api;
use super::guard::{self, Guard};
use super::openapi::operation::{Describer, Operation};
use crate::access::Role;

/// What a route requires of its caller. There is no default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requires {
    /// Nothing; and why that is right.
    Nothing(&'static str),
    /// A role, whatever products it reaches to: the handler shows what is in reach alone.
    Anywhere(Role),
    /// A role that reaches to every product: what is asked for belongs to none.
    Everywhere(Role),
    /// A role that reaches to the product `{pk}` of the path.
    Product(Role),
    /// A role that reaches to the product of the device `{pk}/{dk}`, or an end user whose device it is.
    Device(Role),
    /// A role that reaches to the product of the plan `{plan}`.
    Plan(Role),
    /// A role that reaches to the product of the package `{package}`.
    Package(Role),
    /// A role that reaches to the product of the verification `{verification}`.
    Verification(Role),
}

impl Requires {
    /// The role; none: there is no need to sign in.
    #[must_use]
    pub fn role(self) -> Option<Role> {
        match self {
            Requires::Nothing(_) => None,
            Requires::Anywhere(role)
            | Requires::Everywhere(role)
            | Requires::Product(role)
            | Requires::Device(role)
            | Requires::Plan(role)
            | Requires::Package(role)
            | Requires::Verification(role) => Some(role),
        }
    }
}

impl Requires {
    /// What the role must reach to, in one word.
    #[must_use]
    pub fn reach(self) -> &'static str {
        match self {
            Requires::Nothing(_) => "nothing",
            Requires::Anywhere(_) => "anywhere",
            Requires::Everywhere(_) => "everywhere",
            Requires::Product(_) => "product",
            Requires::Device(_) => "device",
            Requires::Plan(_) => "plan",
            Requires::Package(_) => "package",
            Requires::Verification(_) => "verification",
        }
    }
}

impl fmt::Display for Requires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (role, reach) = match self {
            Requires::Nothing(why) => return write!(f, "nothing: {why}"),
            Requires::Anywhere(role) => (role, ", for whatever products: only these are shown"),
            Requires::Everywhere(role) => (role, " for every product"),
            Requires::Product(role) => (role, " for the product"),
            Requires::Device(role) => {
                (role, " for the device's product, or an end user's token for the device")
            }
            Requires::Plan(role) => (role, " for the plan's product"),
            Requires::Package(role) => (role, " for the package's product"),
            Requires::Verification(role) => (role, " for the product of the verified package"),
        };
        write!(f, "the role {role}{reach}")
    }
}

/// One route, as tests and the API's description see it.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// What its path is below: `/api/v1`, or nothing.
    pub root: &'static str,
    /// Its path, with `{names}`.
    pub path: &'static str,
    /// What it requires.
    pub requires: Requires,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Says what it takes and answers.
    pub(super) describe: fn(&mut Describer),
}

impl Route {
    /// Its path from the root of the server on.
    #[must_use]
    pub fn full_path(&self) -> String {
        format!("{}{}", self.root, self.path)
    }

    /// Its name for programs: the words of the summary.
    #[must_use]
    pub fn id(&self) -> String {
        let letters = self.summary.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' });
        let letters: String = letters.collect::<String>().to_ascii_lowercase();
        let words = letters.split_whitespace().filter(|word| !["a", "an", "the"].contains(word));
        words.collect::<Vec<_>>().join("_")
    }

    /// The group that it belongs to: the first part of its path.
    #[must_use]
    pub fn tag(&self) -> &'static str {
        let first = self.path.split('/').nth(1).unwrap_or_default();
        let device = self.path.contains("/devices") && first == "products";
        if device { "devices" } else { first }
    }
}

/// How much a request may bring.
#[derive(Debug, Clone, Copy)]
pub(super) enum BodyLimit {
    /// So many bytes.
    Bytes(usize),
    /// The handler has limits of its own.
    ByHandler,
}

/// Routes under way to a router.
pub(super) struct Routes {
    api: Api,
    router: Router<Api>,
    /// The `GET` routes without their guards.
    look: Router<Api>,
    listed: Vec<Route>,
    root: &'static str,
    limit: BodyLimit,
}

impl Routes {
    /// None yet.
    pub(super) fn of(api: &Api, root: &'static str, limit: BodyLimit) -> Self {
        let (router, look) = (Router::new(), Router::new());
        Self { api: api.clone(), router, look, listed: Vec::new(), root, limit }
    }

    /// The same routes; those that follow take bodies up to another limit.
    pub(super) fn limit(self, limit: BodyLimit) -> Self {
        Self { limit, ..self }
    }

    /// One more route. Its handler says by its types what it takes and answers.
    pub(super) fn add<T: 'static, H: Operation<T>>(
        mut self,
        (method, path): (Method, &'static str),
        requires: Requires,
        summary: &'static str,
        handler: H,
    ) -> Self {
        // Each method of the table is one of the methods that a router knows.
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        let handler = on(filter, handler);
        if method == Method::GET {
            self.look = self.look.route(path, handler.clone());
        }
        let guard = Guard { api: self.api.clone(), path, requires, limit: self.limit };
        let limit = match self.limit {
            BodyLimit::Bytes(most) => DefaultBodyLimit::max(most),
            BodyLimit::ByHandler => DefaultBodyLimit::disable(),
        };
        let handler = handler.layer(limit).layer(from_fn_with_state(guard, guard::check));
        self.router = self.router.route(path, handler);
        let describe = H::describe;
        self.listed.push(Route { method, root: self.root, path, requires, summary, describe });
        self
    }

    /// The router, and what is in it.
    pub(super) fn done(self) -> (Router<Api>, Vec<Route>) {
        let things = self.api.things.clone();
        things.are(self.look.with_state(self.api), &self.listed);
        (self.router, self.listed)
    }
}
