#![no_main]

#[allow(dead_code, reason = "each target runs one of the entry functions")]
#[path = "../../tests/fuzz/normalize.rs"]
mod normalize;

libfuzzer_sys::fuzz_target!(|data: &[u8]| normalize::events(data));
