#![no_main]

#[allow(dead_code, reason = "each target runs one of the entry functions")]
#[path = "../../tests/fuzz/json.rs"]
mod json;

libfuzzer_sys::fuzz_target!(|data: &[u8]| json::edit(data));
