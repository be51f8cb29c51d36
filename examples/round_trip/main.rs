//! This crate's side of the round trip through Keras, PyTorch and ONNX Runtime. The other side, and the
//! command that runs both, is `interop/round_trip.py`.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use convnet::datasets::fashion_mnist;
use convnet::models::{AlexNet, Normalization};
use convnet::prelude::*;
use ndarray::{Array4, ArrayD, Axis, Slice};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

mod networks;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// The largest difference that rounding explains.
const LARGEST: f32 = 1e-5;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    half: Half,
}

#[derive(Debug, Subcommand)]
enum Half {
    /// Trains and writes models, images, and what the models predict for them
    Write { folder: PathBuf },
    /// Reads the models that the other programs wrote, and compares what they predicted
    Read { folder: PathBuf },
}

/// Layers, and PyTorch's modules for them.
type Modules = &'static [(&'static str, &'static str)];

/// The networks that go all ways.
fn networks() -> Result<Vec<(&'static str, Model, Modules)>> {
    const LENET5: Modules = &[
        ("conv2d", "conv1"),
        ("conv2d_1", "conv2"),
        ("dense", "fc1"),
        ("dense_1", "fc2"),
        ("dense_2", "fc3"),
    ];
    const FASHION_CNN: Modules = &[
        ("conv2d", "conv1"),
        ("batch_normalization", "norm1"),
        ("dense", "fc1"),
        ("batch_normalization_1", "norm2"),
        ("dense_1", "fc2"),
    ];
    let image = Input::new([28, 28, 1]);
    Ok(vec![
        ("lenet5", Model::new(&image, models::lenet5(&image, 10)?)?, LENET5),
        ("fashion_cnn", Model::new(&image, models::fashion_cnn(&image, 10)?)?, FASHION_CNN),
        ("small", networks::small()?, &[]),
        ("plain", networks::plain()?, &networks::PLAIN),
    ])
}

fn main() -> Result<()> {
    match Arguments::parse().half {
        Half::Write { folder } => write(&folder),
        Half::Read { folder } => read(&folder),
    }
}

fn write(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist-sample");
    let (train, test) = fashion_mnist::open(sample)?.load()?;
    let first = |n: isize| Slice::from(..n);
    let photographs = test.images.slice_axis(Axis(0), first(100)).to_owned();
    for (name, mut model, modules) in networks()? {
        let mut images = photographs.clone();
        if name == "lenet5" || name == "fashion_cnn" {
            let mut compiled = model.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]);
            let x = train.images.slice_axis(Axis(0), first(2000));
            let y = train.labels.slice_axis(Axis(0), first(2000));
            compiled.fit(&x, &y, Fit::new().epochs(1).verbose(Verbose::Silent))?;
            model = compiled.into_model();
        } else {
            let (h, w, c) = if name == "small" { (8, 6, 2) } else { (10, 10, 1) };
            images = pixels((4, h, w, c));
        }
        let path = folder.join(name);
        model.save_weights(path.with_extension("safetensors"))?;
        model.save_pytorch(path.with_extension("pytorch.safetensors"), modules)?;
        exported(&model, &images, &path)?;
    }
    exported(&networks::every_layer()?, &pixels((3, 9, 8, 4)), &folder.join("every_layer"))?;
    let image = Input::new([67, 67, 3]);
    for (name, network) in [
        ("alexnet", AlexNet::new(10)),
        ("alexnet_paper", AlexNet::paper(10)),
        ("alexnet_batch", AlexNet::new(10).normalization(Normalization::Batch).groups(2)),
    ] {
        let mut model = Model::new(&image, network.build(&image)?)?;
        networks::move_statistics(&mut model)?;
        exported(&model, &pixels((2, 67, 67, 3)), &folder.join(name))?;
    }
    Ok(())
}

/// Images of pixels in −1..=1, the same everywhere.
fn pixels(shape: (usize, usize, usize, usize)) -> Array4<f32> {
    let (_, h, w, c) = shape;
    let place = |(n, y, x, k): (usize, usize, usize, usize)| ((n * h + y) * w + x) * c + k;
    Array4::from_shape_fn(shape, |at| (place(at) * 79 % 257) as f32 / 128.0 - 1.0)
}

/// A model as ONNX, and what it predicts: `x`, and `y0`, `y1`, …
fn exported(model: &Model, images: &Array4<f32>, path: &Path) -> Result<()> {
    model.export_onnx(path.with_extension("onnx"))?;
    let mut arrays = vec![("x".to_string(), images.clone().into_dyn())];
    for (i, y) in model.predict_all(images)?.into_iter().enumerate() {
        arrays.push((format!("y{i}"), y));
    }
    write_arrays(&path.with_extension("predicted.safetensors"), &arrays)
}

fn read(folder: &Path) -> Result<()> {
    for (name, mut model, modules) in networks()? {
        let path = |extension: &str| folder.join(name).with_extension(extension);
        let [keras, pytorch] = ["keras", "pytorch"]
            .map(|program| read_arrays(&path(&format!("{program}.predicted.safetensors"))));
        let (keras, pytorch) = (keras?, pytorch?);
        model.load_keras(path("weights.h5"))?;
        compare(&format!("{name}, weights.h5 of Keras"), &model, &keras)?;
        model = model.seed(1);
        model.load_keras(path("keras"))?;
        compare(&format!("{name}, weights in .keras"), &model, &keras)?;
        model.load_pytorch(path("theirs.safetensors"), modules)?;
        compare(&format!("{name}, state_dict of PyTorch"), &model, &pytorch)?;
        let model = Model::from_keras(path("keras"))?;
        compare(&format!("{name}, model in .keras"), &model, &keras)?;
    }
    let model = Model::from_keras(folder.join("every_layer.keras"))?;
    let predicted = read_arrays(&folder.join("every_layer.keras.predicted.safetensors"))?;
    compare("every_layer, model in .keras", &model, &predicted)
}

/// Compares the predictions of a model with those of another program.
fn compare(what: &str, model: &Model, expected: &HashMap<String, ArrayD<f32>>) -> Result<()> {
    let mut largest = 0.0f32;
    for (i, y) in model.predict_all(&expected["x"])?.iter().enumerate() {
        let wanted = &expected[&format!("y{i}")];
        if y.shape() != wanted.shape() {
            return Err(format!("{what}: {:?}, not {:?}", y.shape(), wanted.shape()).into());
        }
        largest =
            y.iter().zip(wanted).fold(largest, |most, (y, wanted)| most.max((y - wanted).abs()));
    }
    println!("{what:40} {largest:.1e}");
    if largest <= LARGEST { Ok(()) } else { Err(format!("{what}: off by {largest:e}").into()) }
}

fn write_arrays(path: &Path, arrays: &[(String, ArrayD<f32>)]) -> Result<()> {
    let bytes =
        arrays.iter().map(|(_, array)| array.iter().flat_map(|x| x.to_le_bytes()).collect());
    let bytes: Vec<Vec<u8>> = bytes.collect();
    let views = arrays.iter().zip(&bytes).map(|((name, array), bytes)| {
        Ok((name, TensorView::new(Dtype::F32, array.shape().to_vec(), bytes)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    Ok(std::fs::write(path, safetensors::serialize(views, None)?)?)
}

fn read_arrays(path: &Path) -> Result<HashMap<String, ArrayD<f32>>> {
    let bytes = std::fs::read(path)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let array = |(name, view): (String, TensorView<'_>)| {
        let floats = view.data().as_chunks::<4>().0.iter();
        let floats = floats.map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok((name, ArrayD::from_shape_vec(view.shape(), floats)?))
    };
    file.tensors().into_iter().map(array).collect()
}
