#![no_main]

#[allow(dead_code, reason = "each target runs one of the entry functions")]
#[path = "../../tests/fuzz/failures.rs"]
mod failures;

libfuzzer_sys::fuzz_target!(|data: &[u8]| failures::wait(data));
