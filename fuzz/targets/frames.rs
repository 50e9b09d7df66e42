#![no_main]

#[allow(dead_code, reason = "each target runs one of the entry functions")]
#[path = "../../tests/fuzz/frames.rs"]
mod frames;

libfuzzer_sys::fuzz_target!(|data: &[u8]| frames::frames(data));
