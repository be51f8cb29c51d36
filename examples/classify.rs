//! What a saved model sees in an image:
//! `cargo run --release --example classify -- model.safetensors image.png`.
//!
//! A picture, PNG or JPEG, is resized to the height and width of the model's input, its values are from 0
//! to 1, and for a model of grey images its colours become their brightness. Fashion-MNIST and MNIST are
//! bright on black: for dark things on white ask for `--invert`. Of an IDX file, such as a test part in
//! `data/`, one image is taken: `--index 7`.

use std::path::{Path, PathBuf};

use clap::Parser;
use convnet::Shape;
use convnet::datasets::{fashion_mnist, idx, load_image};
use convnet::prelude::*;
use convnet::preprocessing::Resized;
use ndarray::{Array3, Array4, Axis, Ix2, Ix3, s};

/// Classifies an image by a model that `save` has written.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// The model
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// A picture, PNG or JPEG, or with --index an IDX file of images
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// The image of this number in an IDX file, counted from 0
    #[arg(long, value_name = "N")]
    index: Option<usize>,
    /// Turn dark things on white into bright ones on black
    #[arg(long)]
    invert: bool,
    /// How many classes to print
    #[arg(long, value_name = "N", default_value_t = 3)]
    top: usize,
    /// The names of the classes, by number; those of Fashion-MNIST where the model has ten
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    classes: Vec<String>,
}

/// How much red, green and blue count for the brightness, as in `Image.convert("L")` (ITU-R 601-2).
const BRIGHTNESS: [f32; 3] = [0.299, 0.587, 0.114];

/// A picture as the model takes it.
fn picture(path: &Path, [height, width, channels]: [usize; 3]) -> convnet::Result<Array3<f32>> {
    let image = load_image(path)?.insert_axis(Axis(0));
    let mut resized = Array4::zeros((1, height, width, 3));
    let floats = resized.as_slice_mut().expect("a new array is contiguous");
    Resized::new(&image, (height, width))?.antialias(true).load(0, None, floats)?;
    let resized = resized.index_axis_move(Axis(0), 0);
    if channels == 3 {
        return Ok(resized);
    }
    let grey = |[red, green, blue]: [f32; 3]| {
        BRIGHTNESS[0] * red + BRIGHTNESS[1] * green + BRIGHTNESS[2] * blue
    };
    Ok(Array3::from_shape_fn((height, width, 1), |(y, x, _)| {
        grey([resized[[y, x, 0]], resized[[y, x, 1]], resized[[y, x, 2]]])
    }))
}

/// An image of an IDX file.
fn from_idx(path: &Path, index: usize) -> Result<Array3<f32>, String> {
    let images = idx::read(path).map_err(|error| error.to_string())?;
    let images = images.into_dimensionality::<Ix3>().map_err(|_| {
        format!("{} holds no images of (n, height, width); give a file of images", path.display())
    })?;
    let n = images.dim().0;
    if index >= n {
        return Err(format!("{} holds {n} images, counted from 0", path.display()));
    }
    Ok(images.slice(s![index, .., ..]).mapv(|value| f32::from(value) / 255.0).insert_axis(Axis(2)))
}

/// The most probable classes, a line each.
pub(crate) fn answer(options: Options) -> Result<String, Box<dyn std::error::Error>> {
    let model = Model::load(&options.model)?;
    let shapes: Vec<Shape> = model.inputs().iter().map(|input| input.shape().clone()).collect();
    let dims = match &*shapes {
        [shape] => shape.dims().filter(|[_, _, channels]| [1, 3].contains(channels)),
        _ => None,
    };
    let dims = dims.ok_or_else(|| {
        format!("the model takes {shapes:?}; wanted one image of (height, width, 1 or 3)")
    })?;
    let mut image = match options.index {
        None => picture(&options.image, dims)?,
        Some(index) => from_idx(&options.image, index)?,
    };
    if options.invert {
        image.mapv_inplace(|value| 1.0 - value);
    }

    let predicted = model.predict(&image.insert_axis(Axis(0)))?;
    let probabilities = predicted.into_dimensionality::<Ix2>().map_err(|_| {
        "the model gives no row of classes; give one that ends in softmax over them".to_string()
    })?;
    let row = probabilities.row(0);
    let mut names = options.classes;
    if names.is_empty() && row.len() == fashion_mnist::CLASS_NAMES.len() {
        names = fashion_mnist::CLASS_NAMES.map(String::from).to_vec();
    }
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    let line = |class: usize| {
        let name = names.get(class).cloned().unwrap_or_else(|| format!("class {class}"));
        format!("{:>6.2} %  {name}\n", 100.0 * row[class])
    };
    Ok(order.into_iter().take(options.top).map(line).collect())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    print!("{}", answer(Options::parse())?);
    Ok(())
}
