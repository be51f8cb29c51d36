//! The JSON of a graph in the file of a model, beside no weights, those of a small network, and those of
//! one with every layer; and the JSON of a history.

#![no_main]

use std::sync::LazyLock;

use convnet::Model;
use convnet::training::History;
use convnet_fuzz::{every_layer, saved, small, text_alone, with_text};
use libfuzzer_sys::fuzz_target;

/// Under which key the graph stands.
const KEY: &str = "convnet";

fuzz_target!(|bytes: &[u8]| {
    static FILES: LazyLock<[Vec<u8>; 2]> =
        LazyLock::new(|| [saved(&small()), saved(&every_layer())]);
    if let Ok(history) = serde_json::from_slice::<History>(bytes) {
        let text = serde_json::to_string(&history).expect("there is no NaN in JSON");
        let again: History = serde_json::from_str(&text).expect("it was just written");
        assert_eq!(again, history);
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    let files = FILES.iter().map(|file| with_text(file, KEY, text));
    for file in std::iter::once(text_alone(KEY, text)).chain(files) {
        match Model::from_bytes(&file) {
            Ok(model) => return convnet_fuzz::check(&model),
            // The graph is right; other weights may fit it.
            Err(error) if error.to_string().contains("contradicts itself") => {}
            Err(_) => return,
        }
    }
});
