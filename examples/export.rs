//! A model that Keras saved, as an ONNX file: `cargo run --release --example export -- model.keras
//! model.onnx`.

use std::path::PathBuf;

use clap::Parser;
use convnet::prelude::*;

/// Writes a saved model for ONNX Runtime and others.
#[derive(Debug, Parser)]
struct Arguments {
    /// The model: a .keras file of Keras 3
    model: PathBuf,
    /// Where to write the ONNX file
    onnx: PathBuf,
}

fn main() -> convnet::Result<()> {
    let Arguments { model, onnx } = Arguments::parse();
    let model = Model::from_keras(model)?;
    model.export_onnx(&onnx)?;
    println!(
        "{}\n{} takes and gives what its input and output layers do",
        model.summary(),
        onnx.display()
    );
    Ok(())
}
