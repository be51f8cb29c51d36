//! Times whole training steps and predictions, one tab-separated row a figure:
//! `what system model batch threads figure unit`.
//!
//! `cargo run --release --example throughput -- step lenet5 --batch 32 --threads 2`

use std::error::Error;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use convnet::prelude::*;
use ndarray::{Array1, Array4};

#[derive(Debug, Parser)]
#[command(about = "Times whole training steps and predictions")]
struct Options {
    what: What,
    #[arg(default_value = "lenet5")]
    model: Network,
    /// Images in a step or a prediction
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch: usize,
    /// Threads to work on; all cores if not given
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// A training step: forward, loss, backward, Adam
    Step,
    /// A prediction
    Infer,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Network {
    Lenet5,
    FashionCnn,
}

/// The median seconds of one call, over groups that take about two seconds each.
fn median_seconds(mut call: impl FnMut()) -> f64 {
    call();
    call();
    let start = Instant::now();
    call();
    let repeats = (2.0 / start.elapsed().as_secs_f64()).clamp(1.0, 1e6) as usize;
    let mut times: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            (0..repeats).for_each(|_| call());
            start.elapsed().as_secs_f64() / repeats as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    if let Some(threads) = options.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    let (what, name) = (
        options.what.to_possible_value().expect("no variant is skipped"),
        options.model.to_possible_value().expect("no variant is skipped"),
    );

    let image = Input::new([28, 28, 1]);
    let class = match options.model {
        Network::Lenet5 => models::lenet5(&image, 10)?,
        Network::FashionCnn => models::fashion_cnn(&image, 10)?,
    };
    let mut model = Model::new(&image, &class)?.compile(
        Adam::default(),
        SparseCategoricalCrossentropy,
        [Accuracy],
    );
    let n = options.batch;
    let x = Array4::from_shape_fn((n, 28, 28, 1), |(i, y, x, _)| {
        ((i * 7919 + y * 31 + x * 17) % 256) as f32 / 255.0
    });
    let labels = Array1::from_shape_fn(n, |i| i * 7 % 10);

    let (figure, unit) = match options.what {
        What::Step => {
            let mut seed = 0;
            let seconds = median_seconds(|| {
                seed += 1;
                model.train_on_batch(&x, &labels, seed).expect("the data fit the model");
            });
            (n as f64 / seconds, "images/s")
        }
        What::Infer => {
            let seconds = median_seconds(|| {
                model.predict(&x).expect("the data fit the model");
            });
            (seconds * 1e6, "us")
        }
    };
    let threads = rayon::current_num_threads();
    let (what, name) = (what.get_name(), name.get_name());
    println!("{what}\tconvnet\t{name}\t{n}\t{threads}\t{figure:.4}\t{unit}");
    Ok(())
}
