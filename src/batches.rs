//! Samples that fit a model, batch by batch: those in memory as they lie there, others loaded one batch
//! ahead of the step.

use std::borrow::Cow;
use std::ops::ControlFlow;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::random::derive;
use crate::samples::Column;
use crate::shape::Shape;
use crate::words::counted;

/// Inputs and labels that have been checked; predictions have no labels.
#[derive(Debug)]
pub(crate) struct Data<'a> {
    x: Columns<'a>,
    y: Columns<'a>,
    /// How much the loss of each sample counts, if not all count alike.
    sample_weight: Option<Cow<'a, [f32]>>,
    /// The method that was called.
    who: String,
}

/// A batch, or several together.
#[derive(Debug)]
pub(crate) struct Chunk<'c> {
    pub(crate) x: &'c InMemory<'c>,
    pub(crate) y: &'c InMemory<'c>,
    /// Where in `x` and `y` its samples are.
    pub(crate) places: &'c [usize],
    /// Which samples of all they are.
    pub(crate) indices: &'c [usize],
    /// Whether it was just loaded, so that nobody has looked at its labels.
    pub(crate) loaded: bool,
}

impl<'a> Data<'a> {
    /// Inputs, checked against the shapes the model wants. `who` is the method that was called.
    pub(crate) fn inputs<'s>(
        x: Vec<Column<'a>>,
        shapes: impl IntoIterator<Item = &'s Shape>,
        who: &str,
    ) -> Result<Self> {
        let x = Columns::new(x, shapes, who, "the inputs", "the model", advice_on_inputs)?;
        let y = Columns { n: x.n, what: "the labels", columns: Vec::new() };
        Ok(Self { x, y, sample_weight: None, who: who.to_string() })
    }

    /// Adds labels, checked against the shapes the loss wants.
    pub(crate) fn labels<'s>(
        self,
        y: Vec<Column<'a>>,
        shapes: impl IntoIterator<Item = &'s Shape>,
    ) -> Result<Self> {
        let who = &self.who;
        let y = Columns::new(y, shapes, who, "the labels", "the loss", advice_on_labels)?;
        if self.x.n != y.n {
            return Err(Error::data(format!(
                "{who}: got {} but {}; every sample needs one of each",
                counted(self.x.n, "input"),
                counted(y.n, "label")
            )));
        }
        Ok(Self { y, ..self })
    }

    /// Adds how much the loss of each sample counts.
    pub(crate) fn weighted(self, sample_weight: Column<'a>) -> Result<Self> {
        let (who, n) = (&self.who, self.len());
        let refuse = |why: String| Err(Error::data(format!("{who}: sample_weight {why}")));
        let floats = match sample_weight {
            Column::Array { dims, floats } if dims == [n] => floats,
            other => {
                return refuse(format!(
                    "has the shape {}, there are {n} samples; give one number for each, an array of \
                     shape ({n})",
                    Shape::from(other.dims())
                ));
            }
        };
        if let Some(sample) = floats.iter().position(|w| !(0.0..=f32::MAX).contains(w)) {
            let weight = floats[sample];
            return refuse(format!(
                "is {weight} for sample {sample}; it must be at least 0 and finite"
            ));
        }
        Ok(Self { sample_weight: Some(floats), ..self })
    }

    /// How much the loss of each sample counts, if not all count alike.
    pub(crate) fn sample_weight(&self) -> Option<&[f32]> {
        self.sample_weight.as_deref()
    }

    /// How many samples there are.
    pub(crate) fn len(&self) -> usize {
        self.x.n
    }

    /// The method that was called.
    pub(crate) fn who(&self) -> &str {
        &self.who
    }

    /// The labels of one output, if they are in memory.
    pub(crate) fn labels_in_memory(&self, output: usize) -> Option<&[f32]> {
        match &self.y.columns[output] {
            (Column::Array { floats, .. }, _) => Some(floats),
            (Column::Samples(_), _) => None,
        }
    }

    /// Calls `f` with the samples of these indices, `size` at a time, until it breaks. What is not in
    /// memory is loaded while `f` runs on the samples before. `seed` is what loading in training draws
    /// from.
    pub(crate) fn each(
        &self,
        indices: &[usize],
        size: usize,
        seed: Option<u64>,
        mut f: impl FnMut(Chunk<'_>) -> Result<ControlFlow<()>> + Send,
    ) -> Result<()> {
        let mut chunks = indices.chunks(size);
        if let (Some(x), Some(y)) = (self.x.in_memory(), self.y.in_memory()) {
            for indices in chunks {
                let chunk = Chunk { x: &x, y: &y, places: indices, indices, loaded: false };
                if f(chunk)?.is_break() {
                    break;
                }
            }
            return Ok(());
        }
        let places: Vec<usize> = (0..size.min(indices.len())).collect();
        let space = || [self.x.space(places.len()), self.y.space(places.len())];
        let (mut current, mut next) = (space(), space());
        let load = |indices: Option<&[usize]>, [x, y]: &mut [InMemory<'static>; 2]| {
            indices.map_or(Ok(()), |indices| {
                self.x.load(indices, seed, x, &self.who)?;
                self.y.load(indices, seed, y, &self.who)
            })
        };
        let mut indices = chunks.next();
        load(indices, &mut current)?;
        while let Some(these) = indices {
            indices = chunks.next();
            let [x, y] = &current;
            let places = &places[..these.len()];
            let chunk = Chunk { x, y, places, indices: these, loaded: true };
            let (done, loaded) = rayon::join(|| f(chunk), || load(indices, &mut next));
            if done?.is_break() {
                break;
            }
            loaded?;
            std::mem::swap(&mut current, &mut next);
        }
        Ok(())
    }
}

/// Samples in memory: for each input (or output) of a model its floats, row-major, and how many of
/// them a sample has.
#[derive(Debug)]
pub(crate) struct InMemory<'a> {
    arrays: Vec<(Cow<'a, [f32]>, usize)>,
}

impl InMemory<'_> {
    /// How many arrays of samples there are.
    pub(crate) fn arrays(&self) -> usize {
        self.arrays.len()
    }

    /// How many floats a sample has in the input (or output) `array`.
    pub(crate) fn size(&self, array: usize) -> usize {
        self.arrays[array].1
    }

    /// The floats of the sample at this place.
    pub(crate) fn sample(&self, array: usize, place: usize) -> &[f32] {
        let (floats, size) = &self.arrays[array];
        &floats[place * size..][..*size]
    }

    /// Copies the samples at these places, one after the other.
    pub(crate) fn gather(&self, array: usize, places: &[usize], to: &mut [f32]) {
        let (floats, size) = &self.arrays[array];
        gather(floats, *size, places, to);
    }
}

fn gather(floats: &[f32], size: usize, places: &[usize], to: &mut [f32]) {
    for (&place, to) in places.iter().zip(to.chunks_exact_mut(size)) {
        to.copy_from_slice(&floats[place * size..][..size]);
    }
}

/// The inputs, or the labels: a column for each input (or output) of the model, and how many floats
/// a sample has in it.
#[derive(Debug)]
struct Columns<'a> {
    n: usize,
    what: &'static str,
    columns: Vec<(Column<'a>, usize)>,
}

impl<'a> Columns<'a> {
    /// Checks columns against the shapes of one sample. `who` is the method that was called, `what`
    /// the argument: the inputs or the labels; `wants` is what asks for these shapes, and `advice`
    /// what to do about a wrong one, given the shape found and the one wanted.
    fn new<'s>(
        columns: Vec<Column<'a>>,
        shapes: impl IntoIterator<Item = &'s Shape>,
        who: &str,
        what: &'static str,
        wants: &str,
        advice: impl Fn(&[usize], &Shape) -> &'static str,
    ) -> Result<Self> {
        let shapes: Vec<&Shape> = shapes.into_iter().collect();
        let count = columns.len();
        if count != shapes.len() {
            return Err(Error::data(format!(
                "{who}: got {} as {what}, {wants} wants {}; give an array or Vec of views, one for \
                 each",
                counted(count, "array"),
                shapes.len()
            )));
        }
        let mut checked = Self { n: 0, what, columns: Vec::new() };
        for (i, (column, shape)) in columns.into_iter().zip(shapes).enumerate() {
            let which = which(i, count);
            let dims = column.dims();
            if dims.get(1..) != Some(&**shape) {
                let advice = advice(&dims, shape);
                return Err(Error::data(format!(
                    "{who}: {what}{which} have the shape {}, {wants} wants {}; {advice}",
                    Shape::from(dims),
                    with_count("n", shape),
                )));
            }
            column.check().map_err(|why| Error::data(format!("{who}: {what}{which} {why}")))?;
            if i == 0 {
                checked.n = dims[0];
            }
            if dims[0] != checked.n {
                return Err(Error::data(format!(
                    "{who}: {what} have different lengths, {} and {}; every sample needs one of \
                     each",
                    checked.n, dims[0]
                )));
            }
            if let Column::Array { floats, .. } = &column {
                for (index, sample) in floats.chunks_exact(shape.size()).enumerate() {
                    check_finite(sample, index, who, &format_args!("{what}{which}"))?;
                }
            }
            checked.columns.push((column, shape.size()));
        }
        if checked.n == 0 {
            return Err(Error::data(format!("{who}: {what} are empty; give at least one sample")));
        }
        Ok(checked)
    }

    /// The samples, if all of them are in memory.
    fn in_memory(&self) -> Option<InMemory<'_>> {
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (column, size) in &self.columns {
            match column {
                Column::Array { floats, .. } => arrays.push((Cow::Borrowed(&**floats), *size)),
                Column::Samples(_) => return None,
            }
        }
        Some(InMemory { arrays })
    }

    /// Space for this many samples.
    fn space(&self, n: usize) -> InMemory<'static> {
        let space = |(_, size): &(Column<'a>, usize)| (Cow::Owned(vec![0.0; n * size]), *size);
        InMemory { arrays: self.columns.iter().map(space).collect() }
    }

    /// Loads the samples of these indices, several at once.
    fn load(
        &self,
        indices: &[usize],
        seed: Option<u64>,
        to: &mut InMemory<'static>,
        who: &str,
    ) -> Result<()> {
        let (what, count) = (self.what, self.columns.len());
        for (i, ((column, size), (to, _))) in self.columns.iter().zip(&mut to.arrays).enumerate() {
            let to = to.to_mut();
            let samples = match column {
                Column::Array { floats, .. } => {
                    gather(floats, *size, indices, to);
                    continue;
                }
                Column::Samples(samples) => samples,
            };
            let load = |(sample, &index): (&mut [f32], &usize)| {
                sample.fill(0.0);
                let seed = seed.map(|seed| derive(seed, index as u64));
                samples.load(index, seed, sample).map_err(|error| {
                    let which = which(i, count);
                    let why = format!("{who}: sample {index} of {what}{which}: {error}");
                    Error::new(error.kind(), why)
                })?;
                check_finite(sample, index, who, &format_args!("{what}{}", which(i, count)))
            };
            // The error of the first in order, whoever is the first in time.
            let loaded = to.par_chunks_exact_mut(*size).zip(indices);
            loaded.find_map_first(|sample| load(sample).err()).map_or(Ok(()), Err)?;
        }
        Ok(())
    }
}

fn which(i: usize, count: usize) -> String {
    if count == 1 { String::new() } else { format!(" (array {} of {count})", i + 1) }
}

fn check_finite(
    sample: &[f32],
    index: usize,
    who: &str,
    what: &std::fmt::Arguments<'_>,
) -> Result<()> {
    // Whole vectors tell whether there is one sooner than a search finds it.
    if sample.iter().fold(true, |all, x| all & x.is_finite()) {
        return Ok(());
    }
    match sample.iter().find(|x| !x.is_finite()) {
        Some(wrong) => Err(Error::data(format!(
            "{who}: {what} hold {wrong} in sample {index}; mend or remove that sample"
        ))),
        None => Ok(()),
    }
}

fn with_count(n: &str, shape: &Shape) -> String {
    let dims = shape.iter().map(usize::to_string);
    let dims: Vec<String> = std::iter::once(n.to_string()).chain(dims).collect();
    format!("({})", dims.join(", "))
}

/// The most likely mistake behind a wrong shape of inputs.
fn advice_on_inputs(dims: &[usize], shape: &Shape) -> &'static str {
    if dims == &**shape {
        "the first axis counts the samples: use insert_axis(Axis(0)) for a single one"
    } else if dims.len() == shape.len()
        && shape.last() == Some(&1)
        && dims[1..] == shape[..shape.len() - 1]
    {
        "grey images have one channel: use insert_axis with the last axis"
    } else if dims.get(1..).is_some_and(|dims| Shape::from(dims).size() == shape.size()) {
        "the sizes agree: reshape with to_shape or into_shape_with_order"
    } else {
        "change the data or the model's Input"
    }
}

/// The most likely mistake behind a wrong shape of labels.
fn advice_on_labels(dims: &[usize], shape: &Shape) -> &'static str {
    if shape.len() > 1 && dims.len() < shape.len() {
        "put Flatten or GlobalAveragePooling2D before the model's last layer"
    } else if dims.len() == shape.len() && shape.last() == Some(&1) {
        "give labels another axis with insert_axis(Axis(1))"
    } else if dims.len() == shape.len() {
        "make labels one-hot with to_categorical, or use SparseCategoricalCrossentropy for integer \
         labels"
    } else if dims.len() == shape.len() + 2 {
        "give integer labels, or use CategoricalCrossentropy for one-hot ones"
    } else {
        "the model's last layer and the labels must have the same number of classes"
    }
}
