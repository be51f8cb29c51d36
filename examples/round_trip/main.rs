//! This crate's side of the round trip through Keras, PyTorch and ONNX Runtime; `interop/README.md` has
//! the other side and the command.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use convnet::prelude::*;
use ndarray::{Array4, ArrayD, ArrayViewD};
use safetensors::tensor::{Dtype, TensorView};

mod networks;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    side: Side,
}

#[derive(Debug, Subcommand)]
enum Side {
    /// Writes models, images and what the models predict for them into a folder.
    Write { folder: PathBuf },
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    match Arguments::parse().side {
        Side::Write { folder } => write(&folder),
    }
}

fn write(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let images = networks::images((3, 9, 8, 4));
    ours(&networks::every_layer()?, &images, &folder.join("every_layer"))?;
    Ok(())
}

/// A model in every format, with what it predicts: in `NAME.safetensors` `x` and `y0`, `y1`, …
fn ours(model: &Model, images: &Array4<f32>, path: &Path) -> Result<()> {
    model.export_onnx(path.with_extension("onnx"))?;
    let mut arrays = vec![("x".to_string(), images.clone().into_dyn())];
    for (i, y) in model.predict_all(images)?.into_iter().enumerate() {
        arrays.push((format!("y{i}"), y));
    }
    write_arrays(&path.with_extension("predicted.safetensors"), &arrays)
}

fn write_arrays(path: &Path, arrays: &[(String, ArrayD<f32>)]) -> Result<()> {
    let bytes = |array: ArrayViewD<'_, f32>| -> Vec<u8> {
        array.iter().flat_map(|float| float.to_le_bytes()).collect()
    };
    let bytes: Vec<_> = arrays.iter().map(|(_, array)| bytes(array.view())).collect();
    let views = arrays.iter().zip(&bytes).map(|((name, array), bytes)| {
        Ok((name, TensorView::new(Dtype::F32, array.shape().to_vec(), bytes)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    std::fs::write(path, safetensors::serialize(views, None)?)?;
    Ok(())
}
