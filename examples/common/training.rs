//! How the examples that train are told to, and what they write down.

use std::error::Error;
use std::path::PathBuf;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::Args;
use convnet::prelude::*;
use convnet::report::Report;
use convnet::{ErrorKind, IntoSamples};
use serde_json::{Value, json};

/// The options of a training: Adam, and a stop once the validation loss gets no better.
#[derive(Debug, Args)]
pub(crate) struct Training {
    /// Train for at most this many epochs
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    epochs: usize,
    /// Images in a training step
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch_size: usize,
    /// Step size of Adam
    #[arg(long, value_name = "F", default_value_t = 0.001)]
    learning_rate: f64,
    /// Fraction of the training images to hold out
    #[arg(long, value_name = "F", default_value_t = 0.2)]
    validation_split: f64,
    /// Epochs without a better validation loss before training stops
    #[arg(long, value_name = "N", default_value_t = 3)]
    patience: usize,
    /// What weights, order and dropout are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Threads to train on; all cores if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Write logs for TensorBoard to this folder
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// Write a page of pictures, report.html, to this folder; a browser may be left open on it
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Save the trained model to this file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Keep a backup in this folder while training, written after every epoch and at Ctrl-C
    #[arg(long, value_name = "DIR", default_value = "training-backup")]
    backup: PathBuf,
    /// Go on from the backup, with the options it was begun with
    #[arg(long)]
    resume: bool,
}

/// The status of a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// A flag that the first Ctrl-C sets; the second ends the program.
fn interruption() -> Result<Arc<AtomicBool>, ctrlc::Error> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    ctrlc::set_handler(move || {
        if set.swap(true, Ordering::SeqCst) {
            exit(INTERRUPTED);
        }
        eprintln!("\nEnding after this batch; Ctrl-C again ends at once.");
    })?;
    Ok(flag)
}

impl Training {
    /// Sets the threads to work on; before any work.
    pub(crate) fn set_threads(&self) -> Result<(), Box<dyn Error>> {
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
        }
        Ok(())
    }

    /// The page of pictures, if the options want one.
    pub(crate) fn page<'a>(&self, title: impl Into<String>) -> Option<Report<'a>> {
        let report = self.report.as_ref()?;
        Some(Report::new(report).title(title).seed(self.seed))
    }

    /// Trains the network on `n` images and their labels, and gives it back with what is to be written
    /// down.
    pub(crate) fn run<'a>(
        &self,
        (image, class): (&Input, &Node),
        n: usize,
        images: impl IntoSamples<'a>,
        labels: impl IntoSamples<'a>,
        mut page: Option<Report<'_>>,
    ) -> Result<(CompiledModel, Value), Box<dyn Error>> {
        let mut model = Model::new(image, class)?.seed(self.seed).compile(
            Adam::new(self.learning_rate),
            CategoricalCrossentropy,
            [Accuracy],
        );
        let interruption = interruption()?;
        println!("{}", model.summary());

        let mut stopping = EarlyStopping::new(Monitor::ValLoss)
            .patience(self.patience)
            .restore_best_weights(true)
            .verbose(true);
        // It is kept until the model is saved, too.
        let backup = BackupAndRestore::new(&self.backup)
            .delete_checkpoint(false)
            .interrupt(interruption.clone());
        let mut fit = Fit::new()
            .epochs(self.epochs)
            .batch_size(self.batch_size)
            .validation_split(self.validation_split)
            .seed(self.seed)
            .callback(&mut stopping);
        if let Some(log_dir) = &self.log_dir {
            fit = fit.callback(TensorBoard::new(log_dir));
        }
        if let Some(page) = &mut page {
            fit = fit.callback(page);
        }
        if self.resume {
            fit = fit.resume_from(&self.backup);
        } else {
            backup.discard()?;
        }
        let start = Instant::now();
        let history = match model.fit(images, labels, fit.callback(backup.clone())) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                eprintln!("{error}\nThe same command with --resume goes on from here.");
                exit(INTERRUPTED);
            }
            history => history?,
        };
        let seconds = start.elapsed().as_secs_f64();
        // From now on Ctrl-C ends at once.
        interruption.store(true, Ordering::SeqCst);
        if let Some(path) = &self.save {
            model.save(path)?;
            println!("Saved the model to {}", path.display());
        }
        if let Some(page) = &mut page {
            page.early_stopping(&stopping);
            page.write(&model)?;
            println!("Wrote {}", page.path().display());
        }
        backup.discard()?;
        let epochs = history.epoch.len();
        let trained = n as f64 * (1.0 - self.validation_split) * epochs as f64;
        let result = json!({
            "epochs": epochs,
            "seconds": seconds,
            "images_per_second": trained / seconds,
            "seed": self.seed,
            "threads": rayon::current_num_threads(),
            "history": history.history,
        });
        Ok((model, result))
    }

    /// Reports how well the model does on the test images, and writes the result where the options say.
    pub(crate) fn report<'a, X: IntoSamples<'a> + Copy, Name: Into<String>>(
        &self,
        mut model: CompiledModel,
        mut result: Value,
        images: X,
        labels: &'a ndarray::Array2<f32>,
        class_names: impl IntoIterator<Item = Name>,
    ) -> Result<(), Box<dyn Error>> {
        let score = model.evaluate(images, labels)?;
        let predicted = model.predict(images)?;
        result["test_accuracy"] = score["accuracy"].into();
        result["test_loss"] = score["loss"].into();
        self.write(&result)?;
        println!("\nTest loss: {:.4} - test accuracy: {:.4}\n", score["loss"], score["accuracy"]);
        println!("{}", classification_report(labels, &predicted)?.class_names(class_names)?);
        Ok(())
    }

    /// Writes the result where the options say.
    pub(crate) fn write(&self, result: &Value) -> Result<(), Box<dyn Error>> {
        let Some(path) = &self.json else { return Ok(()) };
        std::fs::write(path, serde_json::to_string_pretty(result)? + "\n").map_err(|error| {
            let sentence = format!("cannot write {}: {error}", path.display());
            convnet::Error::new(convnet::ErrorKind::File, sentence).into()
        })
    }
}
