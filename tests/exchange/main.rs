//! Models to and from other programs, with files that those programs wrote or have read:
//! `fixtures/exchange`, made by `interop/round_trip.py --fixtures`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use convnet::ErrorKind;
use convnet::prelude::*;
use ndarray::ArrayD;
use safetensors::SafeTensors;
use tempfile::TempDir;

mod keras;
#[path = "../../examples/round_trip/networks.rs"]
mod networks;
mod onnx;
mod pytorch;

/// The most by which single precision may round in other ways.
const LARGEST: f32 = 1e-5;

/// A file that another program wrote or has read.
fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exchange")).join(name)
}

/// The images `x` and the outputs `y0`, `y1`, … of a file.
fn arrays(path: &Path) -> HashMap<String, ArrayD<f32>> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let array = |view: &safetensors::tensor::TensorView<'_>| {
        let floats = view.data().as_chunks::<4>().0.iter();
        let floats = floats.map(|bytes| f32::from_le_bytes(*bytes)).collect();
        ArrayD::from_shape_vec(view.shape(), floats).unwrap()
    };
    file.tensors().iter().map(|(name, view)| (name.clone(), array(view))).collect()
}

/// Demands that a model predicts what the other program did.
#[track_caller]
fn predicts(model: &Model, predicted: &str) {
    let expected = arrays(&fixture(predicted));
    let outputs = model.predict_all(&expected["x"]).unwrap();
    assert_eq!(outputs.len(), expected.len() - 1);
    for (i, y) in outputs.iter().enumerate() {
        let wanted = &expected[&format!("y{i}")];
        assert_eq!(y.shape(), wanted.shape(), "output {i}");
        let largest =
            y.iter().zip(wanted).map(|(y, wanted)| (y - wanted).abs()).fold(0.0, f32::max);
        assert!(largest <= LARGEST, "output {i} is off by {largest:e}");
    }
}

/// A model that could not have been predicting so before.
fn drawn_anew(model: convnet::Result<Model>) -> Model {
    model.unwrap().seed(99)
}

/// A file of these bytes.
fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// A few bytes of a file changed, in many ways that are the same each time.
fn damaged(bytes: &[u8], times: u32) -> impl Iterator<Item = Vec<u8>> {
    let mut state = 1u32;
    let mut draw = move |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    let whole = bytes.to_vec();
    (0..times).map(move |round| {
        let mut bytes = whole.clone();
        if round % 4 == 0 {
            bytes.truncate(draw(whole.len()));
        }
        for _ in 0..if bytes.is_empty() { 0 } else { 3 } {
            let place = draw(bytes.len());
            let end = (place + 1 + draw(8)).min(bytes.len());
            match draw(3) {
                0 => bytes[place..end].fill(0xff),
                1 => bytes[place..end].fill(0),
                _ => bytes[place] ^= 1 << draw(8),
            }
        }
        bytes
    })
}

/// Demands an error of this kind with exactly this sentence.
#[track_caller]
fn refused<T>(result: convnet::Result<T>, kind: ErrorKind, sentence: &str) {
    let Err(error) = result else { panic!("should be refused: {sentence}") };
    assert_eq!(error.to_string(), sentence);
    assert_eq!(error.kind(), kind);
}
