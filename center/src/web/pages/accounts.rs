//! Accounts and API tokens, for administrators.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use crate::access::{Access, ProductScope, Role};
use crate::api::error::ApiError;
use crate::clock::Millis;
use crate::rules::{AccountName, ProductKey, TokenName};
use crate::store::{AccessToken, Account, Grant, Product};
use crate::web::Console;
use crate::web::form::{Act, Fields, done};
use crate::web::layout::{Answer, Page, Place};
use crate::web::parts::{field, folded_form, identifier, once, post_button, table};
use crate::web::refusal;
use crate::web::view::View;

/// Accounts and tokens of a page; nobody has so many by hand.
const ROWS: i64 = 500;

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "Viewer",
        Role::Operator => "Operator",
        Role::Administrator => "Administrator",
    }
}

/// Only administrators of every product see who has access.
pub(super) fn check(view: &View) -> Result<(), ApiError> {
    view.check_role(Role::Administrator)?;
    view.check_reach_all()
}

struct Everybody {
    accounts: Vec<Account>,
    tokens: Vec<AccessToken>,
    products: Vec<Product>,
}

impl Everybody {
    async fn of(console: &Console) -> Result<Self, ApiError> {
        let mut store = console.read().await?;
        Ok(Self {
            accounts: store.accounts("", ROWS).await?,
            tokens: store.access_tokens(0, ROWS).await?.rows,
            products: store.products().await?,
        })
    }
}

/// `GET /accounts`.
pub async fn list(State(console): State<Console>, view: View) -> Answer {
    check(&view)?;
    page(&console, &view, &Fields::default(), None, None).await
}

async fn page(
    console: &Console,
    view: &View,
    fields: &Fields,
    error: Option<&ApiError>,
    secret: Option<Markup>,
) -> Answer {
    let all = Everybody::of(console).await?;
    let wrong = error.map(|error| refusal::told(view, error));
    let (of_account, of_token) = if fields.given("token").is_some() { (None, wrong) } else { (wrong, None) };
    let response: Response = Page::new(view, Place::Accounts, view.t("Accounts and Tokens"))
        .status(error.map_or(StatusCode::OK, ApiError::status))
        .actions(html! {
            a.button href="/webhooks" { (view.t("Webhooks")) }
            a.button href="/audit" { (view.t("Audit Log")) }
        })
        .show(html! {
            @if let Some(secret) = secret { (secret) }
            section {
                h2 { (view.t("Accounts")) }
                p.muted { (view.t("A viewer looks; an operator changes products, packages, plans and devices; an administrator does all.")) }
                (accounts(view, &all))
                (folded_form(view, "Add an account", of_account.is_some(), "/accounts", html! {
                    (field(view.t("Account"), "name", view.t("Small letters, digits and - _ . @ +"), of_account, identifier("name", 64, fields.get("name"))))
                    (roles(view, "role", fields))
                    (scope(view, "account-product", &all.products, fields))
                    button.main { (view.t("Add the account")) }
                }))
            }
            section {
                h2 { (view.t("API tokens")) }
                p.muted { (view.t("What programs show: each has a role of its own, and can be revoked alone.")) }
                (tokens(view, &all))
                (folded_form(view, "Make a token", of_token.is_some(), "/tokens", html! {
                    (field(view.t("What it is for"), "token", view.t("Letters, digits and - _ . @ + :"), of_token, identifier("token", 64, fields.get("token"))))
                    (roles(view, "token_role", fields))
                    (field(view.t("Days until it expires"), "days", view.t("1 to 3650; empty: until it is revoked."), None, html! {
                        input #days type="number" name="days" min="1" max="3650" value=(fields.get("days"));
                    }))
                    (scope(view, "token-product", &all.products, fields))
                    button.main { (view.t("Make the token")) }
                }))
            }
        });
    Ok(response)
}

fn roles(view: &View, name: &'static str, fields: &Fields) -> Markup {
    field(
        view.t("Role"),
        name,
        "",
        None,
        html! {
            select id=(name) name=(name) {
                @for role in Role::ALL {
                    option value=(role) selected[fields.get(name) == role.as_str()] { (view.t(role_word(*role))) }
                }
            }
        },
    )
}

fn scope(view: &View, name: &'static str, products: &[Product], fields: &Fields) -> Markup {
    html! {
        @if !products.is_empty() {
            fieldset {
                legend { (view.t("Products")) }
                p.hint { (view.t("None chosen: every product, also those that come later.")) }
                @for product in products {
                    label.choice {
                        input type="checkbox" name=(name) value=(product.key) checked[fields.all(name).any(|key| key == product.key.as_str())];
                        (product.name) " " span.muted.mono { (product.key) }
                    }
                }
            }
        }
    }
}

fn reach(view: &View, products: &ProductScope) -> Markup {
    html! {
        @match products {
            ProductScope::All => (view.t("every product")),
            ProductScope::Only(keys) => @for key in keys { span.version.mono { (key) } " " },
        }
    }
}

fn accounts(view: &View, all: &Everybody) -> Markup {
    let heads = [
        view.t("Account"),
        view.t("Role"),
        view.t("Products"),
        view.t("Last sign-in"),
        view.t("Created"),
        view.t("Action"),
    ];
    let own = view.signed.as_ref().map_or("", |signed| signed.principal.name.as_str());
    table(
        view.t("Accounts"),
        &heads,
        html! {
            @for account in &all.accounts {
                @let path = format!("/accounts/{}", account.name);
                tr {
                    th scope="row" { (account.name) @if account.must_change { " " span.muted { (view.t("(one-time password)")) } } }
                    td {
                        @if account.name.as_str() == own { (view.t(role_word(account.role))) }
                        @else {
                            form.inline-form method="post" action={ (path) "/role" } {
                                (view.csrf())
                                select.inline name="role" aria-label={ (view.t("Role")) ": " (account.name) } {
                                    @for role in Role::ALL { option value=(role) selected[*role == account.role] { (view.t(role_word(*role))) } }
                                }
                                button.link { (view.t("Change")) span.hidden { " " (account.name) } }
                            }
                        }
                    }
                    td { (reach(view, &account.products)) }
                    td { (view.maybe_time(account.signed_in)) }
                    td { (view.time(account.created)) }
                    td {
                        @if account.name.as_str() == own { a href="/password" { (view.t("Change the password")) } }
                        @else {
                            (post_button(view, &format!("{path}/reset"), "link", "New one-time password", account.name.as_str()))
                            (post_button(view, &format!("{path}/delete"), "link danger", "Delete", account.name.as_str()))
                        }
                    }
                }
            }
        },
    )
}

fn tokens(view: &View, all: &Everybody) -> Markup {
    if all.tokens.is_empty() {
        return html! { p.muted { (view.t("No token was made yet.")) } };
    }
    let heads = [
        view.t("What it is for"),
        view.t("Role"),
        view.t("Products"),
        view.t("Made by"),
        view.t("Expires"),
        view.t("Last use"),
        view.t("Action"),
    ];
    table(
        view.t("API tokens"),
        &heads,
        html! {
            @for token in &all.tokens {
                tr {
                    th scope="row" { (token.name) }
                    @match &token.grant {
                        Grant::Role { role, products } => { td { (view.t(role_word(*role))) } td { (reach(view, products)) } }
                        Grant::EndUser(devices) => {
                            td { (view.t("End user")) }
                            td { @for device in devices { span.version.mono { (device) } " " } }
                        }
                    }
                    td { (token.made_by) }
                    td { (view.maybe_time(token.expires)) }
                    td { (view.maybe_time(token.used)) }
                    td { (post_button(view, &format!("/tokens/{}/revoke", token.id), "link danger", "Revoke", token.name.as_str())) }
                }
            }
        },
    )
}

async fn chosen(console: &Console, fields: &Fields, name: &str) -> Result<ProductScope, ApiError> {
    let keys = fields.all(name).map(ProductKey::new).collect::<Result<std::collections::BTreeSet<_>, _>>()?;
    let mut store = console.read().await?;
    for key in &keys {
        store.product(key).await?;
    }
    Ok(if keys.is_empty() { ProductScope::All } else { ProductScope::Only(keys) })
}

/// `POST /accounts`. Its answer shows the one-time password, so it is no redirect.
pub async fn create(
    State(console): State<Console>,
    State(access): State<Access>,
    Act { view, fields }: Act,
) -> Answer {
    check(&view)?;
    let made = async {
        let (name, role) = (AccountName::new(fields.get("name"))?, fields.get("role").parse()?);
        let products = chosen(&console, &fields, "account-product").await?;
        Ok::<_, ApiError>(access.create_account(&name, role, &products).await?)
    };
    match made.await {
        Ok((account, password)) => {
            let shown = once(&view, "The account's one-time password.", account.name.as_str(), &password);
            page(&console, &view, &Fields::default(), None, Some(shown)).await
        }
        Err(error) => page(&console, &view, &fields, Some(&error), None).await,
    }
}

/// `POST /accounts/{account}/role`.
pub async fn role(
    State(console): State<Console>,
    State(access): State<Access>,
    Path(name): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    check(&view)?;
    let changed = async {
        let (name, role) = (AccountName::new(name)?, fields.get("role").parse()?);
        let before = console.read().await?.account(&name).await?;
        access.edit_account(&name, role, &before.products).await?;
        Ok::<_, ApiError>(())
    };
    match changed.await {
        Ok(()) => Ok(done("/accounts", "saved")),
        Err(error) => page(&console, &view, &fields, Some(&error), None).await,
    }
}

/// `POST /accounts/{account}/reset`.
pub async fn reset(
    State(console): State<Console>,
    State(access): State<Access>,
    Path(name): Path<String>,
    Act { view, .. }: Act,
) -> Answer {
    check(&view)?;
    let name = AccountName::new(name)?;
    let password = access.reset_password(&name).await?;
    let shown = once(&view, "The account's one-time password.", name.as_str(), &password);
    page(&console, &view, &Fields::default(), None, Some(shown)).await
}

/// `POST /accounts/{account}/delete`.
pub async fn delete(
    State(console): State<Console>,
    State(access): State<Access>,
    Path(name): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    check(&view)?;
    match access.delete_account(&AccountName::new(name)?).await {
        Ok(()) => Ok(done("/accounts", "deleted")),
        Err(error) => page(&console, &view, &fields, Some(&error.into()), None).await,
    }
}

/// `POST /tokens`. Its answer shows the secret.
pub async fn make_token(
    State(console): State<Console>,
    State(access): State<Access>,
    Act { view, fields }: Act,
) -> Answer {
    check(&view)?;
    let made = async {
        let name = TokenName::new(fields.get("token"))?;
        let days = fields.given("days").map(|given| {
            let days = given.parse::<i64>().ok().filter(|days| (1..=3_650).contains(days));
            days.ok_or_else(|| ApiError::invalid("invalid", "days", given, "a number from 1 to 3650"))
        });
        let expires = days.transpose()?.map(|days| view.now + Millis::hours(24 * days));
        let products = chosen(&console, &fields, "token-product").await?;
        let grant = Grant::Role { role: fields.get("token_role").parse()?, products };
        let maker = view.signed.as_ref().map(|signed| signed.principal.to_string()).unwrap_or_default();
        Ok::<_, ApiError>(access.create_token(&name, &grant, &maker, expires).await?)
    };
    match made.await {
        Ok((secret, token)) => {
            let shown = once(&view, "The token's secret.", token.name.as_str(), secret.shown_once());
            page(&console, &view, &Fields::default(), None, Some(shown)).await
        }
        Err(error) => page(&console, &view, &fields, Some(&error), None).await,
    }
}

/// `POST /tokens/{token}/revoke`.
pub async fn revoke(State(access): State<Access>, Path(id): Path<i64>, Act { view, .. }: Act) -> Answer {
    check(&view)?;
    access.revoke(id).await?;
    Ok(done("/accounts", "deleted"))
}
