//! Weights from any bytes for a model that is known: all of them or none.

#![no_main]

use std::cell::RefCell;

use convnet::Model;
use convnet_fuzz::{PLAIN, file, plain, repaired, weights};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static MODEL: RefCell<Model> = RefCell::new(plain());
}

fuzz_target!(|bytes: &[u8]| {
    for bytes in [Some(bytes.to_vec()), repaired(bytes)].into_iter().flatten() {
        let path = file("weights.safetensors", &bytes);
        MODEL.with_borrow_mut(|model| {
            let before = weights(model);
            if model.load_weights(&path).is_err() {
                assert_eq!(weights(model), before);
            }
            let before = weights(model);
            match model.load_weights_matching(&path) {
                Ok(matching) => assert!(!matching.loaded.is_empty()),
                Err(_) => assert_eq!(weights(model), before),
            }
            let before = weights(model);
            if model.load_pytorch(&path, &PLAIN).is_err() {
                assert_eq!(weights(model), before);
            }
        });
    }
});
