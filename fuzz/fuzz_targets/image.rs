//! PNG and JPEG files.

#![no_main]

use convnet::datasets::load_image;
use convnet_fuzz::file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(image) = load_image(file("image", bytes)) else { return };
    assert_eq!(image.dim().2, 3);
    assert!(image.iter().all(|value| (0.0..=1.0).contains(value)));
});
