//! Runs [`fuzz::texts`] by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::texts::run(input));
