#![no_main]

#[allow(dead_code, reason = "each target runs one of the entry functions")]
#[path = "../../tests/fuzz/configuration.rs"]
mod configuration;

libfuzzer_sys::fuzz_target!(|data: &[u8]| configuration::table(data));
