//! Runs [`fuzz::journal`] by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::journal::run(input));
