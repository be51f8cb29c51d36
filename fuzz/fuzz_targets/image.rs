//! PNG and JPEG files. The JPEG decoder may panic, where convnet makes an error of it.

#![no_main]

use std::panic::{set_hook, take_hook};

use convnet::datasets::load_image;
use convnet_fuzz::file;
use libfuzzer_sys::fuzz_target;

/// Every panic aborts here before anybody can catch it; one within the decoder is let through.
fn spare_the_decoder() {
    let abort = take_hook();
    set_hook(Box::new(move |panic| {
        if panic.location().is_none_or(|place| !place.file().contains("/zune-jpeg-")) {
            abort(panic);
        }
    }));
}

fuzz_target!(init: spare_the_decoder(), |bytes: &[u8]| {
    let Ok(image) = load_image(file("image", bytes)) else { return };
    assert_eq!(image.dim().2, 3);
    assert!(image.iter().all(|value| (0.0..=1.0).contains(value)));
});
