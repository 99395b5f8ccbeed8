//! Searches for inputs of the target of its name; `make fuzz` builds and runs it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::authentication::run(data));
