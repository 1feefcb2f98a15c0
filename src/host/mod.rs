//! A ready platform for Linux: MQTT, HTTP(S) with ranges, files, one kernel thread.
#![allow(dead_code)] // until the C table plugs it in

mod answer;
mod fetch;
mod log;
mod mqtt;
mod settings;
mod signal;
mod storage;
mod trust;
