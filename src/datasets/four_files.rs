//! MNIST's layout: training images, training labels, test images and test labels in a directory.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array, Array1, Array3, Dimension};

use super::{Dataset, idx};
use crate::preprocessing::to_categorical;
use crate::{Error, Result};

/// The names of the files, which may also end in `.gz`.
pub(super) const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// Height and width of an image.
const SIDE: usize = 28;
const CLASSES: usize = 10;

/// Why the directory does not hold the four files, if it does not: "the directory .. lacks ..".
pub(super) fn fault(directory: &Path) -> Option<String> {
    let shown = directory.display();
    if let Err(error) = fs::read_dir(directory) {
        return Some(format!("the directory {shown} cannot be read: {error}"));
    }
    let missing = missing(directory);
    (!missing.is_empty())
        .then(|| format!("the directory {shown} lacks {} (plain or .gz)", missing.join(", ")))
}

/// Those of the four files that are not in the directory.
pub(super) fn missing(directory: &Path) -> Vec<&'static str> {
    NAMES.into_iter().filter(|name| !path_of(directory, name).is_file()).collect()
}

fn path_of(directory: &Path, name: &str) -> PathBuf {
    let plain = directory.join(name);
    if plain.is_file() { plain } else { directory.join(format!("{name}.gz")) }
}

/// The training and the test part.
pub(super) fn load(directory: &Path) -> Result<(Dataset, Dataset)> {
    let [train_images, train_labels, test_images, test_labels] =
        NAMES.map(|name| path_of(directory, name));
    Ok((part(&train_images, &train_labels)?, part(&test_images, &test_labels)?))
}

fn part(image_file: &Path, label_file: &Path) -> Result<Dataset> {
    let fault = |file: &Path, what: String| Error::file(format!("{}: {what}", file.display()));
    let images: Array3<u8> = read(image_file, ["n", "28", "28"])?;
    let (n, height, width) = images.dim();
    if n == 0 || height != SIDE || width != SIDE {
        let got = format!("holds {n} images of {height}×{width} pixels");
        return Err(fault(image_file, format!("{got}; wanted at least one, of {SIDE}×{SIDE}")));
    }
    let labels: Array1<u8> = read(label_file, ["n"])?;
    if labels.len() != n {
        let got = format!("holds {} labels", labels.len());
        return Err(fault(
            label_file,
            format!("{got} for the {n} images of {}", image_file.display()),
        ));
    }
    let labels = to_categorical(&labels, CLASSES).map_err(|e| fault(label_file, e.to_string()))?;
    let images = images.mapv(|grey| f32::from(grey) / 255.0);
    let images = images.into_shape_with_order((n, height, width, 1)).expect("one channel");
    Ok(Dataset { images, labels })
}

/// Reads a file of the rank of `wanted`, the shape as it is shown to the user.
fn read<D: Dimension, const RANK: usize>(
    file: &Path,
    wanted: [&str; RANK],
) -> Result<Array<u8, D>> {
    let array = idx::read(file)?;
    let shape = array.shape().to_vec();
    array.into_dimensionality().map_err(|_| {
        Error::file(format!(
            "{}: holds an array of shape {shape:?}; wanted ({})",
            file.display(),
            wanted.join(", ")
        ))
    })
}
