//! Runs [`fuzz::ttlv`] by libFuzzer.

#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::ttlv::run(input));
