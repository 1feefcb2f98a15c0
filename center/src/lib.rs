//! A self-hosted Developer Center for OTA (DESIGN: `quecota-center`).
#![forbid(unsafe_code)]

pub mod access;
pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connections;
pub mod devices;
pub mod disk;
pub mod engine;
pub mod http;
pub mod log;
pub mod maintenance;
pub mod metrics;
pub mod open_files;
pub mod packages;
pub mod peer;
pub mod planted;
pub mod proxy_protocol;
pub mod rules;
pub mod scheduler;
pub mod seal;
pub mod serve;
pub mod store;
pub mod tls;
pub mod web;
pub mod webhooks;
