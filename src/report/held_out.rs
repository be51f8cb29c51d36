//! The samples a report is about, and what the model makes of them.

use std::borrow::Cow;

use ndarray::Array2;

use crate::batches::Data;
use crate::error::{Error, Result};
use crate::losses::{CategoricalCrossentropy, Loss};
use crate::metrics::arg_max;
use crate::model::Model;
use crate::samples::Column;
use crate::shape::Shape;
use crate::words::counted;

/// Inputs and labels as they were given.
#[derive(Debug)]
pub(super) struct HeldOut<'a> {
    pub(super) x: Vec<Column<'a>>,
    pub(super) y: Vec<Column<'a>>,
}

/// What a classifier makes of all samples.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) truth: Vec<usize>,
    /// A row of scores for each sample, at least two.
    pub(super) scores: Array2<f32>,
}

fn refuse<T>(why: String) -> Result<T> {
    Err(Error::data(format!("report: {why}")))
}

impl HeldOut<'_> {
    /// Refuses samples that do not fit the model or each other, and images to show that are not there.
    pub(super) fn check(&self, model: &Model, show: &[usize]) -> Result<()> {
        let network = &model.network;
        let data = Data::inputs(lend(&self.x), network.shapes(&network.inputs), "report")?;
        let n = data.len();
        for labels in &self.y {
            labels.check().or_else(|why| refuse(format!("the labels {why}")))?;
            match labels.dims().first() {
                Some(&count) if count == n => {}
                count => {
                    let count = count.copied().unwrap_or(0);
                    let (samples, labels) = (counted(n, "sample"), counted(count, "label"));
                    return refuse(format!(
                        "got {samples} but {labels}; every sample needs one of each"
                    ));
                }
            }
        }
        match show.iter().find(|&&sample| sample >= n) {
            Some(sample) => {
                refuse(format!("sample {sample} is to be shown; there are {n}, counted from 0"))
            }
            None => Ok(()),
        }
    }

    /// How many samples there are.
    pub(super) fn len(&self) -> usize {
        self.x.first().and_then(|x| x.dims().first().copied()).unwrap_or(0)
    }

    /// Some of the samples, as inputs of a model.
    pub(super) fn some(&self, samples: &[usize]) -> Result<Vec<Column<'static>>> {
        self.x.iter().map(|column| some(column, samples)).collect()
    }

    /// The samples to show: those asked for, else three of different classes.
    pub(super) fn shown(&self, asked: &[usize], model: &Model) -> Result<Vec<usize>> {
        if !asked.is_empty() {
            return Ok(asked.to_vec());
        }
        let first: Vec<usize> = (0..self.len().min(FIRST)).collect();
        let Ok(truth) = self.truth(model, &first)? else {
            return Ok((0..self.len().min(SHOWN)).collect());
        };
        let mut shown: Vec<usize> = Vec::new();
        for sample in first {
            if shown.len() < SHOWN && shown.iter().all(|&other| truth[other] != truth[sample]) {
                shown.push(sample);
            }
        }
        Ok(shown)
    }

    /// The true classes of these samples, or why the labels are not classes.
    pub(super) fn truth(
        &self,
        model: &Model,
        samples: &[usize],
    ) -> Result<Result<Vec<usize>, String>> {
        let classes = match classes(model) {
            Ok(classes) => classes,
            Err(why) => return Ok(Err(why)),
        };
        let [labels] = &self.y[..] else {
            return Ok(Err("There is not one array of labels.".to_string()));
        };
        let Column::Array { dims, floats } = some(labels, samples)? else {
            return Ok(Err("The labels are not numbers.".to_string()));
        };
        let width: usize = dims[1..].iter().product();
        let no_classes = || format!("The labels are not classes of {}.", classes.max(2));
        if width == classes && width > 1 {
            let rows = floats.chunks_exact(width);
            let distribution = |row: &[f32]| {
                CategoricalCrossentropy.check_target(&Shape::from(width), row).is_ok()
            };
            let all = floats.iter().all(|label| label.is_finite());
            let all = all && rows.clone().all(distribution);
            return Ok(if all { Ok(rows.map(arg_max).collect()) } else { Err(no_classes()) });
        }
        let class = |&label: &f32| {
            let whole = label >= 0.0 && label.fract() == 0.0 && label < classes.max(2) as f32;
            whole.then_some(label as usize)
        };
        let truth: Option<Vec<usize>> = floats.iter().map(class).collect();
        let truth = truth.filter(|truth| truth.len() == samples.len());
        Ok(truth.ok_or_else(no_classes))
    }

    /// What the model makes of all samples, or why it is no classifier.
    pub(super) fn judged(&self, model: &Model) -> Result<Result<Judged, String>> {
        let all: Vec<usize> = (0..self.len()).collect();
        let truth = match self.truth(model, &all)? {
            Ok(truth) => truth,
            Err(why) => return Ok(Err(why)),
        };
        let predicted = model.predict(lend(&self.x))?;
        Ok(Ok(Judged { truth, scores: rows(predicted.iter().copied(), all.len()) }))
    }
}

/// A row of scores for each of `n` samples; a single probability is one of two.
pub(super) fn rows(scores: impl Iterator<Item = f32>, n: usize) -> Array2<f32> {
    let scores: Vec<f32> = scores.collect();
    let width = scores.len() / n.max(1);
    let (scores, width) = match width {
        1 => (scores.iter().flat_map(|&p| [1.0 - p, p]).collect(), 2),
        _ => (scores, width),
    };
    Array2::from_shape_vec((n, width), scores).expect("rows of one length")
}

/// How many scores the model gives for a sample, or why it is no classifier.
pub(super) fn classes(model: &Model) -> Result<usize, String> {
    let network = &model.network;
    match network.outputs[..] {
        [output] => match network.steps[output].shape[..] {
            [classes] => Ok(classes),
            _ => {
                let shape = &network.steps[output].shape;
                Err(format!("The model's output has the shape {shape}; a classifier's is a row."))
            }
        },
        _ => Err(format!("The model has {} outputs; a classifier has one.", network.outputs.len())),
    }
}

/// How many samples are shown unless it is said which, and among how many they are looked for.
const SHOWN: usize = 3;
const FIRST: usize = 200;

pub(super) fn lend<'c>(columns: &'c [Column<'_>]) -> Vec<Column<'c>> {
    columns.iter().map(Column::lend).collect()
}

/// Some samples of a column, in memory.
fn some(column: &Column<'_>, samples: &[usize]) -> Result<Column<'static>> {
    let mut dims = column.dims();
    let size: usize = dims[1..].iter().product();
    let mut some = vec![0.0; samples.len() * size];
    for (&sample, to) in samples.iter().zip(some.chunks_exact_mut(size.max(1))) {
        match column {
            Column::Array { floats, .. } => to.copy_from_slice(&floats[sample * size..][..size]),
            Column::Samples(source) => source.load(sample, None, to)?,
        }
    }
    dims[0] = samples.len();
    Ok(Column::Array { dims, floats: Cow::Owned(some) })
}

/// The floats of one sample of a column in memory.
pub(super) fn floats<'c>(column: &'c Column<'_>, sample: usize) -> (&'c [f32], Shape) {
    match column {
        Column::Array { dims, floats } => {
            let shape = Shape::from(&dims[1..]);
            (&floats[sample * shape.size()..][..shape.size()], shape)
        }
        Column::Samples(_) => (&[], Shape::from(0)),
    }
}
