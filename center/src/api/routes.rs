//! The table of routes. A route cannot be entered without saying what it requires of its caller.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::Api;
use super::guard::{self, Guard};
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

/// One route, as tests and the API's description see it.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path, with `{names}`, below `/api/v1` unless it begins with `//`.
    pub path: &'static str,
    /// What it requires.
    pub requires: Requires,
    /// What it does, in one line.
    pub summary: &'static str,
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
    limit: BodyLimit,
}

impl Routes {
    /// None yet.
    pub(super) fn of(api: &Api, limit: BodyLimit) -> Self {
        let (router, look) = (Router::new(), Router::new());
        Self { api: api.clone(), router, look, listed: Vec::new(), limit }
    }

    /// The same routes; those that follow take bodies up to another limit.
    pub(super) fn limit(self, limit: BodyLimit) -> Self {
        Self { limit, ..self }
    }

    pub(super) fn get<T: 'static>(
        self,
        path: &'static str,
        requires: Requires,
        summary: &'static str,
        handler: impl Handler<T, Api>,
    ) -> Self {
        self.add(Method::GET, path, requires, summary, on(MethodFilter::GET, handler))
    }

    pub(super) fn post<T: 'static>(
        self,
        path: &'static str,
        requires: Requires,
        summary: &'static str,
        handler: impl Handler<T, Api>,
    ) -> Self {
        self.add(Method::POST, path, requires, summary, on(MethodFilter::POST, handler))
    }

    pub(super) fn put<T: 'static>(
        self,
        path: &'static str,
        requires: Requires,
        summary: &'static str,
        handler: impl Handler<T, Api>,
    ) -> Self {
        self.add(Method::PUT, path, requires, summary, on(MethodFilter::PUT, handler))
    }

    pub(super) fn patch<T: 'static>(
        self,
        path: &'static str,
        requires: Requires,
        summary: &'static str,
        handler: impl Handler<T, Api>,
    ) -> Self {
        self.add(Method::PATCH, path, requires, summary, on(MethodFilter::PATCH, handler))
    }

    pub(super) fn delete<T: 'static>(
        self,
        path: &'static str,
        requires: Requires,
        summary: &'static str,
        handler: impl Handler<T, Api>,
    ) -> Self {
        self.add(Method::DELETE, path, requires, summary, on(MethodFilter::DELETE, handler))
    }

    fn add(
        mut self,
        method: Method,
        path: &'static str,
        requires: Requires,
        summary: &'static str,
        handler: MethodRouter<Api>,
    ) -> Self {
        if method == Method::GET {
            self.look = self.look.route(path, handler.clone());
        }
        let guard = Guard { api: self.api.clone(), path, requires };
        let limit = match self.limit {
            BodyLimit::Bytes(most) => DefaultBodyLimit::max(most),
            BodyLimit::ByHandler => DefaultBodyLimit::disable(),
        };
        let handler = handler.layer(limit).layer(from_fn_with_state(guard, guard::check));
        self.router = self.router.route(path, handler);
        self.listed.push(Route { method, path, requires, summary });
        self
    }

    /// The router, and what is in it.
    pub(super) fn done(self) -> (Router<Api>, Vec<Route>) {
        let things = self.api.things.clone();
        things.are(self.look.with_state(self.api), &self.listed);
        (self.router, self.listed)
    }
}
