#![no_main]

#[allow(dead_code, reason = "each target runs one of the entry functions")]
#[path = "../../tests/fuzz/usage.rs"]
mod usage;

libfuzzer_sys::fuzz_target!(|data: &[u8]| usage::usage(data));
