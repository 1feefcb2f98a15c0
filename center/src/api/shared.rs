//! What the pages share with the API beside the engine and the store.

pub(crate) use super::package::delete::remove as delete_package;
pub(crate) use super::package::download::file as package_file;
pub(crate) use super::package::upload::{add as add_package, text as form_text};
pub(crate) use super::plan::devices::export_csv as plan_devices_csv;
pub(crate) use super::plan::request::{Given as GivenPlan, check_end, check_name, check_packages, sample};
pub(crate) use super::webhook::{New as GivenWebhook, make as make_webhook};
