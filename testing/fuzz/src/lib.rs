//! Fuzz targets: each takes arbitrary bytes, and panics where something does not hold that must.
//!
//! The bodies are here, without libFuzzer, so that `cargo test` replays the committed corpora and a short run of
//! mutations (`tests/short_run.rs`). `cargo xtask fuzz` runs them for long, guided by coverage.

pub mod agent;
pub mod corpus;
pub mod frame;
pub mod http;
pub mod journal;
pub mod messages;
pub mod mutation;
mod script;
pub mod texts;
pub mod ttlv;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Of its program in `fuzz_targets/` and its file in `corpus/`.
    pub name: &'static str,
    /// Its body.
    pub run: fn(&[u8]),
    /// Mutations of its short run in the tests.
    pub mutations: u64,
}

/// All of them.
#[rustfmt::skip]
pub const TARGETS: &[Target] = &[
    Target { name: "frame",    run: frame::run,    mutations: 30_000 },
    Target { name: "ttlv",     run: ttlv::run,     mutations: 30_000 },
    Target { name: "messages", run: messages::run, mutations: 30_000 },
    Target { name: "texts",    run: texts::run,    mutations: 30_000 },
    Target { name: "journal",  run: journal::run,  mutations: 2_000 },
    Target { name: "http",     run: http::run,     mutations: 20_000 },
    Target { name: "agent",    run: agent::run,    mutations: 2_000 },
];
