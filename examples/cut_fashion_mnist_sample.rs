//! Cuts `data/fashion-mnist-sample` from the full Fashion-MNIST files: the first images of each
//! class, as many of each, in the order of the files.
//!
//! ```text
//! cargo run --release --example cut_fashion_mnist_sample -- --from DIR --to DIR
//! ```

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use convnet::datasets::idx;
use convnet::{Error, ErrorKind};
use ndarray::Axis;

/// Cut a small Fashion-MNIST, with as many images of each class, from the full files.
#[derive(Parser)]
struct Options {
    /// The directory with the four full files, gzipped
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The directory for the four small files
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Training images of each class
    #[arg(long, value_name = "N", default_value_t = 1000)]
    train: usize,
    /// Test images of each class
    #[arg(long, value_name = "N", default_value_t = 200)]
    test: usize,
}

fn main() -> convnet::Result<()> {
    let options = Options::parse();
    fs::create_dir_all(&options.to).map_err(|error| {
        Error::new(ErrorKind::File, format!("{}: cannot be made: {error}", options.to.display()))
    })?;
    cut(&options, "train", options.train)?;
    cut(&options, "t10k", options.test)
}

fn cut(options: &Options, part: &str, per_class: usize) -> convnet::Result<()> {
    let image_file = format!("{part}-images-idx3-ubyte.gz");
    let label_file = format!("{part}-labels-idx1-ubyte.gz");
    let images = idx::read(options.from.join(&image_file))?;
    let labels = idx::read(options.from.join(&label_file))?;

    let mut kept_of_class = [0; 256];
    let kept: Vec<usize> = (labels.iter().enumerate())
        .filter_map(|(place, &class)| {
            let kept = &mut kept_of_class[usize::from(class)];
            *kept += 1;
            (*kept <= per_class).then_some(place)
        })
        .collect();
    idx::write(options.to.join(image_file), &images.select(Axis(0), &kept))?;
    idx::write(options.to.join(label_file), &labels.select(Axis(0), &kept))?;
    println!("{part}: kept {} of {} images", kept.len(), labels.len());
    Ok(())
}
