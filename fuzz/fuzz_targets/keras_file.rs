//! Files of Keras. The first byte says what is damaged: the file, the architecture in a `.keras` file, or
//! the weights in one; zip's checksums are then right.

#![no_main]

use std::cell::RefCell;
use std::io::Write;
use std::sync::LazyLock;

use convnet::Model;
use convnet_fuzz::{file, part, plain, weights};
use libfuzzer_sys::fuzz_target;
use rawzip::ZipArchiveWriter;

thread_local! {
    static MODEL: RefCell<Model> = RefCell::new(plain());
}

/// What Keras wrote.
const FILES: [&[u8]; 2] = [
    include_bytes!("../../fixtures/exchange/plain.keras"),
    include_bytes!("../../fixtures/exchange/small.keras"),
];

fuzz_target!(|bytes: &[u8]| {
    static PARTS: LazyLock<[[Vec<u8>; 2]; 2]> = LazyLock::new(|| {
        FILES.map(|file| ["config.json", "model.weights.h5"].map(|name| part(file, name)))
    });
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let [config, weights_of] = &PARTS[usize::from(kind / 3 % 2)];
    let path = match kind % 3 {
        0 => file("any.keras", bytes),
        1 => file("any.keras", &keras(bytes, weights_of)),
        _ => file("any.keras", &keras(config, bytes)),
    };
    if let Ok(model) = Model::from_keras(&path) {
        convnet_fuzz::check(&model);
    }
    let path = file("any.weights.h5", bytes);
    MODEL.with_borrow_mut(|model| {
        let before = weights(model);
        if model.load_keras(&path).is_err() {
            assert_eq!(weights(model), before);
        }
    });
});

/// A `.keras` file of these parts.
fn keras(config: &[u8], weights: &[u8]) -> Vec<u8> {
    let mut zip = ZipArchiveWriter::new(Vec::new());
    for (name, part) in [("config.json", config), ("model.weights.h5", weights)] {
        let (mut entry, settings) = zip.new_file(name).start().expect("a name");
        let mut writer = settings.wrap(&mut entry);
        writer.write_all(part).expect("a Vec takes every byte");
        let (_, descriptor) = writer.finish().expect("a Vec takes every byte");
        entry.finish(descriptor).expect("a Vec takes every byte");
    }
    zip.finish().expect("a Vec takes every byte")
}
