//! The example that classifies: a picture and an image of an IDX file, the same answer for the same
//! image, and sentences for what makes no sense.

use std::fs::File;
use std::path::Path;

use clap::Parser;
use convnet::datasets::idx;
use convnet::prelude::*;
use ndarray::{Ix3, s};

#[path = "../examples/classify.rs"]
#[allow(dead_code)]
mod classify;

const IMAGES: &str = "data/fashion-mnist-sample/t10k-images-idx3-ubyte.gz";

fn answer(folder: &Path, options: &[&str]) -> Result<String, String> {
    let model = folder.join("model.safetensors");
    let options = ["classify", model.to_str().unwrap()].into_iter().chain(options.iter().copied());
    classify::answer(classify::Options::parse_from(options)).map_err(|error| error.to_string())
}

fn png(path: &Path, [width, height]: [u32; 2], color: png::ColorType, pixels: &[u8]) {
    let mut encoder = png::Encoder::new(File::create(path).unwrap(), width, height);
    encoder.set_color(color);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
}

fn save(folder: &Path, shape: [usize; 3], classes: usize) {
    let image = Input::new(shape);
    let class = models::lenet5(&image, classes).unwrap();
    let model = Model::new(&image, &class).unwrap().seed(3);
    model.save(folder.join("model.safetensors")).unwrap();
}

#[test]
fn the_same_image_gets_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    save(folder, [28, 28, 1], 10);
    let from_idx = answer(folder, &[IMAGES, "--index", "7"]).unwrap();
    assert_eq!(from_idx.lines().count(), 3);
    assert!(from_idx.lines().next().unwrap().contains(" %  "), "{from_idx}");

    let images = idx::read(IMAGES).unwrap().into_dimensionality::<Ix3>().unwrap();
    let image: Vec<u8> = images.slice(s![7, .., ..]).iter().copied().collect();
    let path = folder.join("image.png");
    let shown = path.to_str().unwrap();
    png(&path, [28, 28], png::ColorType::Grayscale, &image);
    assert_eq!(answer(folder, &[shown]).unwrap(), from_idx);
    let inverted: Vec<u8> = image.iter().map(|value| 255 - value).collect();
    png(&path, [28, 28], png::ColorType::Grayscale, &inverted);
    assert_eq!(answer(folder, &[shown, "--invert"]).unwrap(), from_idx);
    assert_ne!(answer(folder, &[shown]).unwrap(), from_idx);
    let colours: Vec<u8> = image.iter().flat_map(|&value| [value; 3]).collect();
    png(&path, [28, 28], png::ColorType::Rgb, &colours);
    assert_eq!(answer(folder, &[shown]).unwrap(), from_idx);

    png(&path, [28, 28], png::ColorType::Grayscale, &[100; 28 * 28]);
    let plain = answer(folder, &[shown]).unwrap();
    png(&path, [90, 41], png::ColorType::Grayscale, &[100; 90 * 41]);
    assert_eq!(answer(folder, &[shown]).unwrap(), plain, "resized");

    let named = answer(folder, &[IMAGES, "--index", "7", "--top", "10"]).unwrap();
    assert!(named.contains("Ankle boot") && named.lines().count() == 10, "{named}");
    let own = answer(folder, &[IMAGES, "--index", "7", "--top", "10", "--classes", "a,b"]).unwrap();
    assert!(own.contains("%  b\n") && own.contains("%  class 9\n"), "{own}");
}

#[test]
fn what_makes_no_sense_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let error = answer(folder, &["x.png"]).unwrap_err();
    assert!(error.contains("model.safetensors cannot be read: "), "{error}");
    save(folder, [28, 28, 1], 10);
    let error = answer(folder, &[IMAGES, "--index", "2000"]).unwrap_err();
    assert_eq!(error, format!("{IMAGES} holds 2000 images, counted from 0"));
    let error =
        answer(folder, &["data/fashion-mnist-sample/t10k-labels-idx1-ubyte.gz", "--index", "0"]);
    assert!(error.unwrap_err().contains("holds no images of (n, height, width)"));
    let error = answer(folder, &[IMAGES]).unwrap_err();
    assert_eq!(error, format!("{IMAGES} is neither PNG nor JPEG"));
    save(folder, [32, 32, 3], 4);
    let error = answer(folder, &[IMAGES, "--index", "0"]).unwrap_err();
    assert!(error.contains("(1, 28, 28, 1)") && error.contains("(n, 32, 32, 3)"), "{error}");
    save(folder, [32, 32, 2], 4);
    let error = answer(folder, &[IMAGES, "--index", "0"]).unwrap_err();
    assert_eq!(error, "the model takes [(32, 32, 2)]; wanted one image of (height, width, 1 or 3)");
}
