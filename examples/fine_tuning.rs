//! What a network has learnt, used for other classes: LeNet-5 is trained on five classes of
//! Fashion-MNIST, then its convolutions get a new head for the other five, of which there are few images.
//! `cargo run --release --example fine_tuning`.

use std::ops::Range;
use std::path::PathBuf;

use clap::Parser;
use convnet::datasets::{Dataset, fashion_mnist};
use convnet::prelude::*;
use convnet::preprocessing::argmax;
use convnet::report::Report;
use ndarray::{Array1, Array4, Axis};

/// Trains LeNet-5 on five classes and gives it a new head for five others.
#[derive(Debug, Parser)]
struct Options {
    /// Write a page of pictures of the network with the new head to this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// Images and class numbers from 0 of some of the ten classes, at most so many images.
fn some(
    data: &Dataset,
    classes: Range<usize>,
    most: usize,
) -> convnet::Result<(Array4<f32>, Array1<f32>)> {
    let numbers = argmax(&data.labels)?;
    let chosen = numbers.iter().enumerate().filter(|(_, class)| classes.contains(class));
    let chosen: Vec<usize> = chosen.map(|(i, _)| i).take(most).collect();
    let labels = chosen.iter().map(|&i| (numbers[i] - classes.start) as f32);
    Ok((data.images.select(Axis(0), &chosen), labels.collect()))
}

/// Trains a model; prints its accuracy on the test images and returns it.
fn trained(
    what: &str,
    model: Model,
    learning_rate: f64,
    epochs: usize,
    [(x, y), (test_x, test_y)]: [&(Array4<f32>, Array1<f32>); 2],
    report: Option<&mut Report<'_>>,
) -> convnet::Result<Model> {
    let adam = Adam::new(learning_rate);
    let mut model = model.compile(adam, SparseCategoricalCrossentropy, [Accuracy]);
    let mut fit = Fit::new().epochs(epochs).verbose(Verbose::Silent);
    if let Some(report) = report {
        fit = fit.callback(report);
    }
    model.fit(x, y, fit)?;
    println!("{what}: accuracy {:.3}", model.evaluate(test_x, test_y)?["accuracy"]);
    Ok(model.into_model())
}

fn main() -> convnet::Result<()> {
    let options = Options::parse();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist-sample");
    let (train, test) = fashion_mnist::open(sample)?.load()?;

    let many = [&some(&train, 0..5, 10_000)?, &some(&test, 0..5, 2000)?];
    let image = Input::new([28, 28, 1]);
    let base = Model::new(&image, models::lenet5(&image, 5)?)?;
    let base = trained("LeNet-5 on classes 0 to 4", base, 1e-3, 10, many, None)?;

    // The convolutions, whose weights stay as they are, and a new last layer.
    let class = base.output_of("flatten")?.apply(Dense::new(5).activation(Softmax).name("head"))?;
    let model = Model::new(base.inputs(), &class)?.weights_from(&base)?;
    let mut known = model.layer_names();
    known.retain(|layer| layer != "head");
    let model = model.trainable(&known, false)?;
    println!("\n{}\n", model.summary());

    let few = [&some(&train, 5..10, 100)?, &some(&test, 5..10, 2000)?];
    println!("Classes 5 to 9, from {} images:", few[0].1.len());
    let model = trained("  a new head on those convolutions", model, 1e-3, 60, few, None)?;
    let model = model.trainable(&known, true)?;
    let mut report = options.report.map(|folder| {
        Report::new(folder)
            .title("LeNet-5 with a new head, fine-tuned")
            .classes(fashion_mnist::CLASS_NAMES[5..].iter().copied())
            .samples(&few[1].0, &few[1].1)
    });
    let what = "  then all layers, in small steps";
    let model = trained(what, model, 1e-4, 60, few, report.as_mut())?;
    if let Some(report) = report {
        report.write(&model)?;
    }

    let image = Input::new([28, 28, 1]);
    let new = Model::new(&image, models::lenet5(&image, 5)?)?;
    trained("  LeNet-5 from scratch", new, 1e-3, 60, few, None)?;
    Ok(())
}
