//! A plan's life by an operator's hand: activate, suspend, resume, terminate, clone, delete.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::html;

use super::{failed, reached};
use crate::api::error::ApiError;
use crate::rules::Title;
use crate::rules::plan::Supersede;
use crate::store::{Plan, PlanId};
use crate::web::Console;
use crate::web::counts::PlanFigures;
use crate::web::form::{Act, done};
use crate::web::layout::{Answer, Page, Place};
use crate::web::pages::dry_run;
use crate::web::parts::field;
use crate::web::refusal;
use crate::web::view::{View, number};

/// `POST /plans/{plan}/suspend`.
pub async fn suspend(
    State(console): State<Console>,
    Path(id): Path<String>,
    Act { view, .. }: Act,
) -> Answer {
    let id = reached(&console, &view, &id).await?;
    match console.engine().suspend(id).await {
        Ok(_) => Ok(done(&format!("/plans/{}", id.0), "suspended")),
        Err(error) => failed(&console, &view, id, &error.into()).await,
    }
}

/// `POST /plans/{plan}/resume`.
pub async fn resume(State(console): State<Console>, Path(id): Path<String>, Act { view, .. }: Act) -> Answer {
    let id = reached(&console, &view, &id).await?;
    match console.engine().resume(id).await {
        Ok(_) => Ok(done(&format!("/plans/{}", id.0), "resumed")),
        Err(error) => failed(&console, &view, id, &error.into()).await,
    }
}

/// `POST /plans/{plan}/delete`.
pub async fn delete(State(console): State<Console>, Path(id): Path<String>, Act { view, .. }: Act) -> Answer {
    let id = reached(&console, &view, &id).await?;
    match console.engine().delete_plan(id).await {
        Ok(()) => Ok(done("/plans", "deleted")),
        Err(error) => failed(&console, &view, id, &error.into()).await,
    }
}

fn step<'v>(view: &'v View, plan: &Plan, title: &'static str) -> Page<'v> {
    Page::new(view, Place::Plans, view.t(title))
        .below(view.t("Upgrade Plans"), "/plans")
        .below(plan.settings.name.to_string(), format!("/plans/{}", plan.id.0))
}

async fn activation(console: &Console, view: &View, id: PlanId, error: Option<&ApiError>) -> Answer {
    let plan = console.read().await?.plan(id).await?;
    let run = console.engine().dry_run(id).await?;
    let path = format!("/plans/{}", id.0);
    Ok(step(view, &plan, "Activate the plan").status(error.map_or(StatusCode::OK, ApiError::status)).show(html! {
        @if let Some(error) = error {
            (refusal::block(view, error))
        }
        div.card {
            h2 { (view.f("What activating {0} does now", &[&plan.settings.name])) }
            (dry_run::panel(view, &run, &plan.settings.time_zone))
            form method="post" action={ (path) "/activate" } {
                (view.csrf())
                @if !run.supersedes.is_empty() && run.refused.is_empty() {
                    label.choice { input type="checkbox" name="supersede" value="agreed" required; (view.t("It takes the place of the plans named above")) }
                }
                p.muted { (view.t("From then on the plan is frozen: it cannot be edited or deleted, only suspended or terminated.")) }
                div.actions {
                    @if run.refused.is_empty() { button.main { (view.t("Activate Plan")) } }
                    @else { a.button.main href={ (path) "/edit" } { (view.t("Edit")) } }
                    a.button href=(path) { (view.t("Not now")) }
                }
            }
        }
    }))
}

/// `GET /plans/{plan}/activate`: what it would do.
pub async fn ask_activate(State(console): State<Console>, view: View, Path(id): Path<String>) -> Answer {
    activation(&console, &view, reached(&console, &view, &id).await?, None).await
}

/// `POST /plans/{plan}/activate`.
pub async fn activate(
    State(console): State<Console>,
    Path(id): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    let id = reached(&console, &view, &id).await?;
    let agreed = if fields.get("supersede") == "agreed" { Supersede::Agreed } else { Supersede::Refuse };
    match console.engine().activate(id, agreed).await {
        Ok(_) => Ok(done(&format!("/plans/{}", id.0), "activated")),
        Err(error) => activation(&console, &view, id, Some(&error.into())).await,
    }
}

async fn termination(console: &Console, view: &View, id: PlanId, wrong: Option<&str>) -> Answer {
    let plan = console.read().await?.plan(id).await?;
    // Counted now, however long that takes: it is what the person agrees to.
    let counted = PlanFigures::of(console.clone(), plan.clone()).await?;
    let (figures, rest) = (counted.figures, counted.unreached());
    let path = format!("/plans/{}", id.0);
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(step(view, &plan, "Terminate the plan").status(status).show(html! {
        form.card method="post" action={ (path) "/terminate" } {
            (view.csrf())
            p { (view.f("Terminating is final. Devices that have not confirmed, and fail: {0}. Devices at work, which finish: {1}.", &[&number(figures.not_upgraded + rest), &number(figures.upgrading)])) }
            (field(&view.f("Type the plan's name, {0}, to confirm", &[&plan.settings.name]), "confirm", "", wrong.map(str::to_owned), html! {
                input #confirm name="confirm" required autocomplete="off" spellcheck="false";
            }))
            div.actions {
                button.danger { (view.t("Terminate for good")) }
                a.button href=(path) { (view.t("Not now")) }
            }
        }
    }))
}

/// `GET /plans/{plan}/terminate`.
pub async fn ask_terminate(State(console): State<Console>, view: View, Path(id): Path<String>) -> Answer {
    termination(&console, &view, reached(&console, &view, &id).await?, None).await
}

/// `POST /plans/{plan}/terminate`.
pub async fn terminate(
    State(console): State<Console>,
    Path(id): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    let id = reached(&console, &view, &id).await?;
    let plan = console.read().await?.plan(id).await?;
    if fields.get("confirm") != plan.settings.name.as_str().trim() {
        let wrong = view.t("That is not the plan's name; nothing was done.");
        return termination(&console, &view, id, Some(wrong)).await;
    }
    match console.engine().terminate(id).await {
        Ok(_) => Ok(done(&format!("/plans/{}", id.0), "terminated")),
        Err(error) => failed(&console, &view, id, &error.into()).await,
    }
}

fn cloning(view: &View, plan: &Plan, name: &str, error: Option<&ApiError>) -> Response {
    let path = format!("/plans/{}", plan.id.0);
    step(view, plan, "Clone the plan").status(error.map_or(StatusCode::OK, ApiError::status)).show(html! {
        form.card method="post" action={ (path) "/clone" } {
            (view.csrf())
            p { (view.t("The copy is saved with all settings and both lists; it can be edited before it is activated.")) }
            (field(view.t("Plan Name"), "name", "", error.map(|error| refusal::told(view, error)), html! {
                input #name name="name" required maxlength="100" value=(name);
            }))
            div.actions { button.main { (view.t("Clone")) } a.button href=(path) { (view.t("Not now")) } }
        }
    })
}

/// `GET /plans/{plan}/clone`.
pub async fn ask_clone(State(console): State<Console>, view: View, Path(id): Path<String>) -> Answer {
    let plan = console.read().await?.plan(reached(&console, &view, &id).await?).await?;
    let name = view.f("{0} again", &[&plan.settings.name]);
    Ok(cloning(&view, &plan, &name, None))
}

/// `POST /plans/{plan}/clone`.
pub async fn clone(
    State(console): State<Console>,
    Path(id): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    let id = reached(&console, &view, &id).await?;
    let copied = async {
        crate::api::shared::check_name(fields.get("name"))?;
        Ok::<_, ApiError>(console.engine().clone_plan(id, Title::new(fields.get("name"))?).await?)
    };
    match copied.await {
        Ok(plan) => Ok(done(&format!("/plans/{}", plan.id.0), "added")),
        Err(error) => {
            let plan = console.read().await?.plan(id).await?;
            Ok(cloning(&view, &plan, fields.get("name"), Some(&error)))
        }
    }
}
