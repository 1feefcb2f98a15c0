//! Runs [`fuzz::agent`] by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::agent::run(input));
