#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cifar_fuzz::image_folder(bytes));
