//! The pages, each with its actions.

pub mod accounts;
pub mod audit;
pub mod device;
pub mod device_access;
pub mod devices;
mod dry_run;
mod first_steps;
pub mod fleet;
mod history;
mod log;
pub mod packages;
pub mod password;
pub mod plan;
pub mod plan_device;
mod plan_fields;
pub mod plan_form;
pub mod plans;
pub mod product;
pub mod products;
pub mod settings;
pub mod sign_in;
pub mod webhooks;
