//! A page of pictures of what a network is and what it learns, with the feature `report`.
//!
//! The page is one file that needs nothing else, no script and no network; the pictures lie beside it
//! once more, as SVG and PNG.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::callbacks::{Callback, EarlyStopping, Logs, State, Training};
use crate::error::{Error, Result};
use crate::files::{cannot_write, write_whole};
use crate::model::Model;
use crate::samples::IntoSamples;

mod architecture;
mod chart;
mod held_out;
mod judging;
mod maps;
mod page;
mod palette;
mod pixels;
mod scores;
mod sections;
mod svg;
mod text;

use held_out::HeldOut;
use page::Page;

/// Writes `report.html` and its pictures to a folder: the layers with the arithmetic of their sizes,
/// curves of the training, confusion matrix, precision and recall, filters, feature maps, saliency, the most
/// confident mistakes, and on what it was computed. With the feature `report`. Not in Keras.
///
/// As a callback of `fit` it takes down every epoch and writes the page anew, for a browser tab to be left
/// open on; [`write`](Self::write) at the end adds what takes time, and the pictures as files.
///
/// # Errors
/// `fit` and `write` end with an error if samples, labels or class names do not fit the model, or if the
/// folder cannot be written to.
///
/// ```
/// use convnet::prelude::*;
/// use convnet::report::Report;
/// # use ndarray::{Array1, Array4};
/// # let images = Array4::from_shape_fn((20, 8, 8, 1), |(n, y, x, _)| ((n * y + x) % 5) as f32);
/// # let labels = Array1::from_shape_fn(20, |n| n % 2);
///
/// # let image = Input::new([8, 8, 1]);
/// # let class = image.apply(Conv2D::new(4, 3).activation(Relu))?.apply(Flatten::new())?;
/// # let class = class.apply(Dense::new(2).activation(Softmax))?;
/// # let model = Model::new(&image, &class)?;
/// # let mut model = model.compile(Adam::new(0.01), SparseCategoricalCrossentropy, [Accuracy]);
/// let folder = tempfile::tempdir().unwrap();
/// let mut stopping = EarlyStopping::new(Monitor::ValLoss).restore_best_weights(true);
/// let mut report = Report::new(folder.path())
///     .title("Even and odd")
///     .classes(["even", "odd"])
///     .samples(&images, &labels);
/// let fit = Fit::new().epochs(3).validation_split(0.2).verbose(Verbose::Silent);
/// model.fit(&images, &labels, fit.callback(&mut stopping).callback(&mut report))?;
/// report.early_stopping(&stopping);
/// report.write(&model)?;
/// let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
/// assert!(page.contains("<h1>Even and odd</h1>"));
/// assert!(folder.path().join("architecture.png").exists());
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Debug)]
pub struct Report<'a> {
    dir: PathBuf,
    title: String,
    classes: Vec<String>,
    command: String,
    seed: Option<u64>,
    show: Vec<usize>,
    held_out: Option<HeldOut<'a>>,
    epochs: Vec<Epoch>,
    /// How many epochs there are at most, once training has begun.
    of: Option<usize>,
    begun: Option<Instant>,
    /// The epoch after which training was stopped, and the one whose weights were restored.
    stopped: Option<usize>,
    restored: Option<usize>,
}

/// The name of the page.
const PAGE: &str = "report.html";

/// What is known of an epoch.
#[derive(Clone, Debug, Default)]
struct Epoch {
    number: usize,
    logs: Vec<(String, f64)>,
    learning_rate: f64,
    seconds: f64,
}

impl<'a> Report<'a> {
    /// Writes to this folder, which is made if it is not there.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self {
            dir: dir.as_ref().to_path_buf(),
            title: "What the network learns".to_string(),
            classes: Vec::new(),
            command: command(std::env::args_os()),
            seed: None,
            show: Vec::new(),
            held_out: None,
            epochs: Vec::new(),
            of: None,
            begun: None,
            stopped: None,
            restored: None,
        }
    }

    /// The heading of the page; `What the network learns`.
    pub fn title(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// What the classes are called, in order; their numbers.
    pub fn classes<Name: Into<String>>(self, classes: impl IntoIterator<Item = Name>) -> Self {
        Self { classes: classes.into_iter().map(Into::into).collect(), ..self }
    }

    /// The command that the page names; that of this process.
    pub fn command(self, command: impl Into<String>) -> Self {
        Self { command: command.into(), ..self }
    }

    /// The seed that the page names; none.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Samples and labels that the model was not trained on, as `evaluate` takes them. From them come feature
    /// maps and saliency, and if the labels are classes, one-hot or numbers, what the page says of right and
    /// wrong. Without them the page has no pictures of that.
    pub fn samples(self, x: impl IntoSamples<'a>, y: impl IntoSamples<'a>) -> Self {
        Self { held_out: Some(HeldOut { x: x.into_samples(), y: y.into_samples() }), ..self }
    }

    /// Which of the samples have their feature maps shown, counted from 0; three of different classes.
    pub fn show(self, samples: impl IntoIterator<Item = usize>) -> Self {
        Self { show: samples.into_iter().collect(), ..self }
    }

    /// The page.
    pub fn path(&self) -> PathBuf {
        self.dir.join(PAGE)
    }

    /// Takes over when training was stopped and which weights were restored, for marks on the curves.
    pub fn early_stopping(&mut self, stopping: &EarlyStopping) {
        self.stopped = stopping.stopped_epoch();
        self.restored = stopping.restored_epoch();
    }

    /// Writes the whole report on the model as it is.
    ///
    /// # Errors
    /// If samples, labels or class names do not fit the model, or a file cannot be written.
    pub fn write(&self, model: &Model) -> Result<()> {
        self.check(model)?;
        self.save(model, Stage::Whole)
    }

    /// What makes no sense, before any work.
    fn check(&self, model: &Model) -> Result<()> {
        if let (names @ 1.., Ok(classes)) = (self.classes.len(), held_out::classes(model)) {
            let classes = classes.max(2);
            if names != classes {
                return Err(Error::data(format!(
                    "report: got {names} class names for {classes} classes; name each class, in order"
                )));
            }
        }
        self.held_out.as_ref().map_or(Ok(()), |held_out| held_out.check(model, &self.show))
    }

    fn save(&self, model: &Model, stage: Stage) -> Result<()> {
        std::fs::create_dir_all(&self.dir)
            .map_err(|error| cannot_write("report", &self.dir, &error))?;
        let mut page = Page::new(&self.title, stage);
        let facts = self.sections(&mut page, model)?;
        let html = page.finish(&self.subtitle(stage), &facts);
        // The page last: what stands in it is there.
        let html = (PAGE.to_string(), html.into_bytes());
        for (name, contents) in page.files.into_iter().chain([html]) {
            write_whole("report", &self.dir.join(name), &contents)?;
        }
        Ok(())
    }

    /// What a class is called, cut to what fits beside a picture.
    fn class(&self, class: usize) -> String {
        let name = self.classes.get(class);
        name.map_or_else(|| class.to_string(), |name| text::fit(name, 14.0, 220.0))
    }
}

/// How much of the report there is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Training goes on: the page is loaded anew every few seconds.
    Live,
    /// Training is over, and nobody has asked for the rest yet.
    Ended,
    /// All of it, with the files.
    Whole,
}

impl Callback for Report<'_> {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.epochs.clear();
        (self.stopped, self.restored) = (None, None);
        self.of = Some(training.epochs());
        self.check(training.model())?;
        self.save(training.model(), Stage::Live)
    }

    fn on_epoch_begin(&mut self, _epoch: usize, _training: &mut Training<'_>) -> Result<()> {
        self.begun = Some(Instant::now());
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        training: &mut Training<'_>,
    ) -> Result<()> {
        let seconds = self.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
        self.epochs.push(Epoch {
            number: epoch,
            logs: logs.iter().map(|(name, value)| (name.to_string(), value)).collect(),
            learning_rate: training.learning_rate(),
            seconds,
        });
        self.save(training.model(), Stage::Live)
    }

    fn on_train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.check(training.model())?;
        self.save(training.model(), Stage::Ended)
    }

    fn state(&self) -> State {
        let mut state = State::new();
        for Epoch { number, logs, learning_rate, seconds } in &self.epochs {
            state = state
                .number(&format!("{number}/learning_rate"), *learning_rate)
                .number(&format!("{number}/seconds"), *seconds);
            for (name, value) in logs {
                state = state.number(&format!("{number}/{LOGS}{name}"), *value);
            }
        }
        state
    }

    fn set_state(&mut self, state: &State, _training: &Training<'_>) -> Result<(), String> {
        let mut epochs = BTreeMap::new();
        for (key, &value) in &state.numbers {
            let parts = key.split_once('/').and_then(|(n, what)| Some((n.parse().ok()?, what)));
            let (number, what) = parts.ok_or_else(|| format!("`{key}` is of no epoch"))?;
            let epoch =
                epochs.entry(number).or_insert_with(|| Epoch { number, ..Epoch::default() });
            match (what, what.strip_prefix(LOGS)) {
                ("learning_rate", _) => epoch.learning_rate = value,
                ("seconds", _) => epoch.seconds = value,
                (_, Some(name)) => epoch.logs.push((name.to_string(), value)),
                _ => return Err(format!("`{key}` is nothing of an epoch")),
            }
        }
        self.epochs = epochs.into_values().collect();
        Ok(())
    }
}

/// What the names of an epoch's logs begin with in a state.
const LOGS: &str = "logs/";

/// The command of a process, as a shell takes it.
fn command(arguments: impl Iterator<Item = OsString>) -> String {
    let quoted = arguments.map(|argument| {
        let argument = argument.to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
        if !argument.is_empty() && argument.chars().all(plain) {
            return argument;
        }
        format!("'{}'", argument.replace('\'', r"'\''"))
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_given_to_a_shell() {
        let arguments = ["target/lenet5", "--data", "my images", "it's", ""].map(OsString::from);
        let wanted = r"target/lenet5 --data 'my images' 'it'\''s' ''";
        assert_eq!(command(arguments.into_iter()), wanted);
    }

    /// Every colour of a drawing has its dark one in the page.
    #[test]
    fn all_colours_are_turned_in_the_dark() {
        let style = include_str!("style.css");
        for color in palette::ALL {
            for attribute in ["fill", "stroke"] {
                let selector = format!("svg [{attribute}=\"{color}\"]");
                assert!(style.contains(&selector), "{selector}");
            }
        }
    }
}
