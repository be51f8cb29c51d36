//! Models to and from other programs, with files that those programs wrote or have read:
//! `fixtures/exchange`, made by `interop/round_trip.py`.

use std::path::PathBuf;

use convnet::ErrorKind;
use convnet::prelude::*;

#[path = "../../examples/round_trip/networks.rs"]
mod networks;
mod onnx;

/// A file that another program wrote or has read.
fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exchange")).join(name)
}

/// Demands an error of this kind with exactly this sentence.
#[track_caller]
fn refused<T>(result: convnet::Result<T>, kind: ErrorKind, sentence: &str) {
    let Err(error) = result else { panic!("should be refused: {sentence}") };
    assert_eq!(error.to_string(), sentence);
    assert_eq!(error.kind(), kind);
}
