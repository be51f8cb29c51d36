//! What the targets share: files, networks, and what has to hold of every model that was read.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use convnet::prelude::*;
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use rawzip::ZipArchive;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

#[path = "../../examples/round_trip/networks.rs"]
#[allow(dead_code, reason = "written for the example")]
mod networks;
pub mod trainings;

/// The layers of `plain` and what they are called in PyTorch's file.
pub const PLAIN: [(&str, &str); 4] = networks::PLAIN;

/// A network without names, of which there are files of Keras and PyTorch.
pub fn plain() -> Model {
    networks::plain().expect("it makes sense")
}

/// A network with every layer with weights, of which there are such files too.
pub fn small() -> Model {
    networks::small().expect("it makes sense")
}

/// A network with every layer.
pub fn every_layer() -> Model {
    networks::every_layer().expect("it makes sense")
}

/// A folder of this process alone.
pub fn folder() -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = std::env::temp_dir().join(format!("convnet-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for files");
        folder
    });
    FOLDER.clone()
}

/// A file with these bytes, until the next one of the name.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    fs::write(&path, bytes).expect("room for a file");
    path
}

/// The bytes that a model is saved in.
pub fn saved(model: &Model) -> Vec<u8> {
    let path = folder().join("saved.safetensors");
    model.save(&path).expect("room for a model");
    fs::read(&path).expect("what was just written")
}

/// The text under a key of a safetensors file's metadata.
pub fn text_of(bytes: &[u8], key: &str) -> String {
    let (_, header) = SafeTensors::read_metadata(bytes).expect("a file that was just written");
    header.metadata().as_ref().expect("metadata")[key].clone()
}

/// A safetensors file with another text under this key.
pub fn with_text(bytes: &[u8], key: &str, text: &str) -> Vec<u8> {
    let file = SafeTensors::deserialize(bytes).expect("a file that was just written");
    let texts = HashMap::from([(key.to_string(), text.to_string())]);
    safetensors::serialize(file.tensors(), Some(texts.into_iter().collect()))
        .expect("what was read can be written")
}

/// A safetensors file with a text and no tensor.
pub fn text_alone(key: &str, text: &str) -> Vec<u8> {
    let none: [(String, TensorView<'_>); 0] = [];
    let texts = HashMap::from([(key.to_string(), text.to_string())]);
    safetensors::serialize(none, Some(texts.into_iter().collect())).expect("a text can be written")
}

/// The same safetensors file with the lengths that its header gives, which a fuzzer seldom gets right.
pub fn repaired(bytes: &[u8]) -> Option<Vec<u8>> {
    let (_, rest) = bytes.split_at_checked(8)?;
    let end = rest.iter().rposition(|&byte| byte == b'}')? + 1;
    let (header, tensors) = rest.split_at(end);
    let json: serde_json::Value = serde_json::from_slice(header).ok()?;
    let ends = json.as_object()?.values().filter_map(|tensor| tensor["data_offsets"][1].as_u64());
    let length = ends.max().unwrap_or(0).min(1 << 16) as usize;
    let mut tensors = tensors.to_vec();
    tensors.resize(length, 0);
    Some([&(end as u64).to_le_bytes(), header, &tensors].concat())
}

/// A part of a `.keras` file.
pub fn part(bytes: &[u8], name: &str) -> Vec<u8> {
    let archive = ZipArchive::from_slice(bytes).expect("a file of Keras");
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().expect("a file of Keras") {
        if entry.file_path().as_ref() == name.as_bytes() {
            return archive.get_entry(entry.wayfinder()).expect("its place").data().to_vec();
        }
    }
    panic!("no {name}");
}

/// The most floats in all outputs of layers and in all weights, and the most products of the two, that a
/// case is worth the time for.
const MOST_FLOATS: usize = 1 << 16;
const MOST_PRODUCTS: usize = 1 << 23;

/// Whether a network with these outputs of layers and so many weights is worth the time.
pub fn is_small(outputs: impl IntoIterator<Item = usize>, weights: usize) -> bool {
    let outputs = outputs.into_iter().fold(0, usize::saturating_add);
    outputs <= MOST_FLOATS
        && weights <= MOST_FLOATS
        && outputs.saturating_mul(weights) <= MOST_PRODUCTS
}

/// Samples for each input of a model.
pub fn samples(model: &Model, n: usize) -> Vec<ArrayD<f32>> {
    let inputs = model.inputs();
    let dims = inputs.iter().map(|input| [&[n], &**input.shape()].concat());
    dims.map(|dims| {
        let mut i = 0;
        ArrayD::from_shape_simple_fn(IxDyn(&dims), || {
            i += 1;
            (i as f32 * 0.37).sin()
        })
    })
    .collect()
}

/// Views of arrays, as `fit` and `predict` take them.
pub fn views(arrays: &[ArrayD<f32>]) -> Vec<ArrayViewD<'_, f32>> {
    arrays.iter().map(|array| array.view()).collect()
}

/// The bits of outputs: NaN is as good as any.
pub fn bits(outputs: &[ArrayD<f32>]) -> Vec<Vec<u32>> {
    outputs.iter().map(|output| output.iter().map(|float| float.to_bits()).collect()).collect()
}

/// The bits of all weights.
pub fn weights(model: &Model) -> Vec<u32> {
    let weights = model.weights();
    weights.iter().flat_map(|(_, weight)| weight.iter().map(|float| float.to_bits())).collect()
}

/// What has to hold of a model that was read from anything: it predicts, twice the same, and comes back
/// from a file of its own.
pub fn check(model: &Model) {
    let names = model.layer_names();
    if names.len() > 100 {
        return;
    }
    let size = |name: &String| model.output_of(name).expect("a name of its own").shape().size();
    if !is_small(names.iter().map(size), model.count_params()) {
        return;
    }
    let _ = (model.summary().to_string(), model.explain().to_string());
    let samples = samples(model, 2);
    let predicted = |model: &Model| {
        let outputs = model.predict_all(views(&samples));
        bits(&outputs.expect("the samples are what the model takes"))
    };
    let outputs = predicted(model);
    assert_eq!(predicted(model), outputs, "predicted again");
    let bytes = saved(model);
    let loaded = Model::from_bytes(&bytes).expect("it was just saved");
    assert_eq!(predicted(&loaded), outputs, "predicted by the saved model");
    assert!(saved(&loaded) == bytes, "saved again it is another file");
}
