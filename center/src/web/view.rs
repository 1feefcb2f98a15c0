//! Whose page it is: language, time zone, who is signed in.

use std::fmt::Write;

use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::Console;
use super::texts;
use crate::access::{Access, Role, Session};
use crate::api::error::ApiError;
use crate::clock::Millis;
use crate::rules::ProductKey;
use crate::rules::window::Zone;

/// How times are written.
const CLOCK: &str = "%Y-%m-%d %H:%M";
/// The same in a log.
const CLOCK_OF_LOGS: &str = "%Y-%m-%d %H:%M:%S";

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// English.
    En,
    /// Chinese.
    Zh,
}

impl Lang {
    /// Its tag.
    pub const fn tag(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Zh => "zh",
        }
    }

    fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or(tag);
        match primary.trim().to_ascii_lowercase().as_str() {
            "en" => Some(Lang::En),
            "zh" => Some(Lang::Zh),
            _ => None,
        }
    }

    /// The switch if it was used, else what the browser prefers, else English.
    fn of(headers: &HeaderMap) -> Self {
        if let Some(chosen) = cookie(headers, LANGUAGE_COOKIE).and_then(|tag| Self::from_tag(&tag)) {
            return chosen;
        }
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let weighed = accepted.split(',').filter_map(|range| {
            let (tag, weight) = range.split_once(";q=").unwrap_or((range, "1"));
            Some((weight.trim().parse::<f32>().ok()?, Self::from_tag(tag)?))
        });
        // Of equal weights the first one counts.
        let best = weighed.fold(None, |best: Option<(f32, Lang)>, (weight, lang)| match best {
            Some((most, _)) if most >= weight => best,
            _ if weight > 0.0 => Some((weight, lang)),
            _ => best,
        });
        best.map_or(Lang::En, |(_, lang)| lang)
    }
}

/// Remembers the language switch.
pub const LANGUAGE_COOKIE: &str = "quecota_language";
/// The browser's time zone, which a script tells; without it times are in UTC.
const ZONE_COOKIE: &str = "quecota_zone";

/// The value of a cookie.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
}

/// What every page needs to know.
#[derive(Debug, Clone)]
pub struct View {
    /// Its language.
    pub lang: Lang,
    /// The viewer's time zone.
    pub zone: Zone,
    /// The time that it shows.
    pub now: Millis,
    /// Its own path and query.
    pub path: String,
    /// Who looks at it; none: nobody has signed in.
    pub signed: Option<Session>,
    /// Whether people may sign in by OpenID Connect.
    pub has_single_sign_on: bool,
}

impl View {
    /// The view of a request, whoever sends it.
    pub fn of(console: &Console, headers: &HeaderMap, uri: &Uri, signed: Option<Session>) -> Self {
        let zone = cookie(headers, ZONE_COOKIE).map(|name| name.replace("%2F", "/"));
        let zone = zone.map(|name| Zone::stored(&name)).filter(Zone::is_known).unwrap_or_else(Zone::utc);
        Self {
            lang: Lang::of(headers),
            zone,
            now: console.engine().clock().now(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            signed,
            has_single_sign_on: Access::from_ref(console).has_single_sign_on(),
        }
    }

    /// The same view later on.
    pub fn anew(&self, console: &Console) -> Self {
        Self { now: console.engine().clock().now(), ..self.clone() }
    }

    /// A text of the table, in the page's language.
    pub fn t(&self, english: &'static str) -> &'static str {
        match self.lang {
            Lang::En => english,
            Lang::Zh => texts::chinese(english),
        }
    }

    /// A text of the table with its values for `{0}`, `{1}` ...
    pub fn f(&self, english: &'static str, values: &[&dyn std::fmt::Display]) -> String {
        let mut text = self.t(english).to_owned();
        for (index, value) in values.iter().enumerate() {
            text = text.replace(&format!("{{{index}}}"), &value.to_string());
        }
        text
    }

    /// Whether the viewer may do what an operator does.
    pub fn may_operate(&self) -> bool {
        self.has(Role::Operator)
    }

    /// Whether the viewer may do what an administrator of every product does.
    pub fn may_administrate(&self) -> bool {
        self.has(Role::Administrator) && self.reaches_all()
    }

    /// Refuses those who do not have this role.
    pub fn check_role(&self, role: Role) -> Result<(), ApiError> {
        let signed = self.signed.as_ref().ok_or(crate::access::AccessError::SessionOver)?;
        Ok(signed.principal.require(role)?)
    }

    fn has(&self, role: Role) -> bool {
        self.signed.as_ref().is_some_and(|signed| signed.principal.role >= role)
    }

    /// Whether the viewer's account reaches to every product.
    pub fn reaches_all(&self) -> bool {
        self.signed.as_ref().is_some_and(|signed| signed.principal.products.is_all())
    }

    /// Whether the product is one of the viewer's.
    pub fn reaches(&self, product: &ProductKey) -> bool {
        self.signed.as_ref().is_some_and(|signed| signed.principal.products.allows(product))
    }

    /// Refuses what belongs to no product, such as a new one, to those who do not reach to all of them.
    pub fn check_reach_all(&self) -> Result<(), ApiError> {
        let signed = self.signed.as_ref().ok_or(crate::access::AccessError::SessionOver)?;
        Ok(signed.principal.require_all_products()?)
    }

    /// Refuses a product that is none of the viewer's.
    pub fn check_reach(&self, product: &ProductKey) -> Result<(), ApiError> {
        let signed = self.signed.as_ref().ok_or(crate::access::AccessError::SessionOver)?;
        Ok(signed.principal.require_product(product)?)
    }

    /// The token that each of the viewer's forms carries.
    pub fn csrf(&self) -> Markup {
        let token = self.signed.as_ref().map_or("", |signed| signed.csrf.as_str());
        html! { input type="hidden" name="csrf" value=(token); }
    }

    /// A point in time in the viewer's zone, with how far it is away.
    pub fn time(&self, at: Millis) -> Markup {
        html! { time datetime=(at) title=(self.zone.name()) { (self.zone.clock(at, CLOCK)) } }
    }

    /// A point in time to the second.
    pub fn second(&self, at: Millis) -> Markup {
        html! { time datetime=(at) title=(self.zone.name()) { (self.zone.clock(at, CLOCK_OF_LOGS)) } }
    }

    /// A point in time as texts of the engine have it, such as `2026-11-28T09:12:57.013Z`; none: it is another word.
    pub fn moment(&self, word: &str) -> Option<String> {
        let at: jiff::Timestamp = word.parse().ok()?;
        Some(self.zone.clock(Millis(at.as_millisecond()), CLOCK))
    }

    /// A point in time that may not be there.
    pub fn maybe_time(&self, at: Option<Millis>) -> Markup {
        match at {
            Some(at) => self.time(at),
            None => html! { span.none { "\u{2013}" } },
        }
    }

    /// A point in time in the plan's zone, and in the viewer's if that is another one.
    pub fn time_in(&self, zone: &Zone, at: Millis) -> Markup {
        html! {
            time datetime=(at) { (zone.clock(at, CLOCK)) " " (zone.name()) }
            @if zone.name() != self.zone.name() {
                " " span.muted { "(" (self.zone.clock(at, CLOCK)) " " (self.zone.name()) ")" }
            }
        }
    }

    /// How far away a time is: "in 3 h 12 min", "5 min ago".
    pub fn away(&self, at: Millis) -> String {
        if at > self.now {
            // Rounded up: after it, the time has come.
            let left = (at - self.now).0;
            let left = if left > 60_000 { (left + 59_999) / 60_000 * 60_000 } else { left };
            self.f("in {0}", &[&self.span(Millis(left))])
        } else {
            self.f("{0} ago", &[&self.span(self.now - at)])
        }
    }

    /// A span of time in words.
    pub fn span(&self, span: Millis) -> String {
        let seconds = span.0.max(0) / 1_000;
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
        match (days, hours, minutes) {
            (0, 0, 0) => self.f("{0} s", &[&seconds]),
            (0, 0, minutes) => self.f("{0} min", &[&minutes]),
            (0, hours, minutes) => self.f("{0} h {1} min", &[&hours, &minutes]),
            (days, hours, _) => self.f("{0} d {1} h", &[&days, &hours]),
        }
    }
}

/// A number with its thousands set apart.
pub fn number(value: impl TryInto<i128>) -> String {
    let value: i128 = value.try_into().unwrap_or_default();
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    if value < 0 {
        text.push('\u{2212}');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the unit that people read.
pub fn bytes(count: u64) -> String {
    let mut text = String::new();
    let units = ["kB", "MB", "GB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 999.5 && unit < units.len() - 1 {
        value /= 1_000.0;
        unit += 1;
    }
    // Writing to a text does not fail.
    let _ = write!(text, "{value:.*} {}", usize::from(value < 99.5), units[unit]);
    text
}

/// The view of a request that nobody needs to be signed in for.
pub struct Anyone(pub View);

impl FromRequestParts<Console> for Anyone {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Self::Rejection> {
        // A database that is away shows itself on the page that comes next.
        let found = <Session as OptionalFromRequestParts<Console>>::from_request_parts(parts, console).await;
        Ok(Anyone(View::of(console, &parts.headers, &parts.uri, found.ok().flatten())))
    }
}

/// The same for somebody who has signed in; everybody else is sent to the sign-in page and comes back from there.
impl FromRequestParts<Console> for View {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let Ok(Anyone(view)) = Anyone::from_request_parts(parts, console).await;
        let then: String = form_urlencoded::byte_serialize(view.path.as_bytes()).collect();
        let elsewhere = |path: &str| Redirect::to(&format!("{path}?then={then}")).into_response();
        match &view.signed {
            None => Err(elsewhere("/sign-in")),
            Some(signed) if signed.must_change_password => Err(elsewhere("/password")),
            Some(_) => Ok(view),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_decides_before_the_browser_and_english_in_the_end() {
        for (accepted, chosen, lang) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", None, Lang::Zh),
            ("en-US,en;q=0.9,zh;q=0.8", None, Lang::En),
            ("de, zh;q=0.5, en;q=0.4", None, Lang::Zh),
            ("de", None, Lang::En),
            ("", None, Lang::En),
            ("en", Some("zh"), Lang::Zh),
            ("zh", Some("en"), Lang::En),
            ("zh", Some("xx"), Lang::Zh),
            ("zh;q=0, en;q=0.1", None, Lang::En),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, accepted.parse().unwrap());
            if let Some(chosen) = chosen {
                headers.insert(COOKIE, format!("a=b; {LANGUAGE_COOKIE}={chosen}").parse().unwrap());
            }
            assert_eq!(Lang::of(&headers), lang, "{accepted} {chosen:?}");
        }
    }

    #[test]
    fn numbers_and_sizes_are_short_and_readable() {
        assert_eq!(number(1_000_000), "1\u{202f}000\u{202f}000");
        assert_eq!(number(-999), "\u{2212}999");
        assert_eq!(
            (bytes(999), bytes(1_500), bytes(104_857_600)),
            ("999 B".into(), "1.5 kB".into(), "105 MB".into())
        );
    }
}
