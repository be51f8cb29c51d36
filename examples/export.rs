//! A model that was saved, here or by Keras, as an ONNX file:
//! `cargo run --release --example export -- model.safetensors model.onnx`.

use std::path::PathBuf;

use clap::Parser;
use convnet::prelude::*;

/// Writes a saved model for ONNX Runtime and others.
#[derive(Debug, Parser)]
struct Arguments {
    /// The model: a file that `save` wrote, or a .keras file of Keras 3
    model: PathBuf,
    /// Where to write the ONNX file
    onnx: PathBuf,
}

fn main() -> convnet::Result<()> {
    let Arguments { model, onnx } = Arguments::parse();
    let model = match model.extension() {
        Some(extension) if extension == "keras" => Model::from_keras(model)?,
        _ => Model::load(model)?,
    };
    model.export_onnx(&onnx)?;
    println!(
        "{}\n{} takes and gives what its input and output layers do",
        model.summary(),
        onnx.display()
    );
    Ok(())
}
