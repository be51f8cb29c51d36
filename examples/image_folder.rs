//! AlexNet or LeNet-5 on a folder of colour photographs, one sub-folder a class:
//! `cargo run --release --example image_folder -- photos`. Photographs are decoded,
//! resized, mirrored and shifted while the step before runs; the memory holds two batches of them.

#[path = "common/training.rs"]
mod training;

use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use convnet::datasets::{ImageFolder, Photos};
use convnet::prelude::*;
use convnet::preprocessing::Augmented;
use ndarray::Array1;

/// Trains on a folder of colour photographs, PNG or JPEG, with one sub-folder for each class.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// The folder to train on
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// A folder with the same classes to test on
    #[arg(long, value_name = "DIR")]
    test: Option<PathBuf>,
    /// The network
    #[arg(long, value_enum, default_value = "alexnet")]
    model: Network,
    /// Height and width that the images are resized to
    #[arg(long, value_name = "PIXELS", default_value_t = 67)]
    size: usize,
    /// Cut images to a square rather than distort them
    #[arg(long)]
    crop: bool,
    /// Go on without unreadable images
    #[arg(long)]
    skip_bad: bool,
    /// Move training images by at most this many pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 4)]
    shift: usize,
    /// Do not mirror training images left to right
    #[arg(long)]
    no_flip: bool,
    #[command(flatten)]
    training: training::Training,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Network {
    Alexnet,
    Lenet5,
}

impl Options {
    pub(crate) fn open(&self, folder: &Path) -> convnet::Result<Photos> {
        let photos = ImageFolder::new(folder)
            .image_size(self.size)
            .crop_to_aspect_ratio(self.crop)
            .antialias(true)
            .skip_bad(self.skip_bad)
            .seed(self.training.seed)
            .open()
            .map_err(|error| {
                let sentence = error.to_string().replace("skip_bad(true)", "--skip-bad");
                convnet::Error::new(error.kind(), sentence)
            })?;
        println!(
            "{}: {} images of {} classes",
            folder.display(),
            photos.len(),
            photos.class_names().len()
        );
        for (path, fault) in photos.skipped() {
            println!("  skipped: {} {fault}", path.display());
        }
        Ok(photos)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let command = Options::command()
        .mut_arg("epochs", |epochs| epochs.default_value("20"))
        .mut_arg("learning_rate", |rate| rate.default_value("0.0003"));
    let options = Options::from_arg_matches(&command.get_matches())?;
    options.training.set_threads()?;
    let photos = options.open(&options.folder)?;
    let test = options.test.as_deref().map(|folder| options.open(folder)).transpose()?;
    if let Some(test) = test.as_ref().filter(|test| test.class_names() != photos.class_names()) {
        return Err(format!(
            "the classes to test on are {}; wanted those to train on, {}",
            test.class_names().join(", "),
            photos.class_names().join(", ")
        )
        .into());
    }
    println!();

    let classes = photos.class_names().len();
    let image = Input::new(photos.shape());
    let class = match options.model {
        Network::Alexnet => models::alexnet(&image, classes)?,
        Network::Lenet5 => models::lenet5(&image, classes)?,
    };
    let augmented = Augmented::new(&photos)?.horizontal_flip(!options.no_flip).shift(options.shift);
    let training = &options.training;
    let mut page = training.page(format!("{:?} on {}", options.model, options.folder.display()));
    page = page.map(|page| page.classes(photos.class_names()));
    if let Some(test) = &test {
        page = page.map(|page| page.samples(test, test.labels()));
    }
    let (model, result) =
        training.run((&image, &class), photos.len(), &augmented, photos.labels(), page)?;
    match &test {
        None => training.write(&result),
        Some(test) => {
            let numbers = Array1::from(test.labels().numbers().to_vec());
            let labels = to_categorical(&numbers, classes)?;
            training.report(model, result, test, &labels, test.class_names())
        }
    }
}
