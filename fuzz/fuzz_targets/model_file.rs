//! Models from any bytes.

#![no_main]

use convnet::Model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for bytes in [Some(bytes.to_vec()), convnet_fuzz::repaired(bytes)].into_iter().flatten() {
        if let Ok(model) = Model::from_bytes(&bytes) {
            assert!(model.count_params() * 4 <= bytes.len(), "every weight was in the file");
            convnet_fuzz::check(&model);
        }
    }
});
