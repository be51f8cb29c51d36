//! What is done to data before training: scaling, standardisation, one-hot labels and back; images of
//! another size.
//!
//! The statistics of a scaler are taken from the training part and applied to every other part, so
//! that all parts go through the same function and nothing of the test part leaks into training.

use std::fmt::Display;

use ndarray::{Array, Array1, Array2, ArrayBase, Axis, Data, Dimension, Ix1, Ix2, RemoveAxis};

use crate::arrays::Element;
use crate::{Error, Result, Shape};

mod augmented;
mod images;
mod resized;

pub use augmented::Augmented;
pub use resized::Resized;

/// Scales all values by one function so that those of the training part run from 0 to 1:
/// `(x − min) / (max − min)`.
///
/// ```
/// use convnet::preprocessing::MinMax;
/// use ndarray::array;
///
/// let train = array![[0u8, 50], [100, 200]];
/// let scaler = MinMax::fit(&train)?;
/// assert_eq!(scaler, MinMax { min: 0.0, max: 200.0 });
/// assert_eq!(scaler.apply(&train)?, array![[0.0, 0.25], [0.5, 1.0]]);
/// assert_eq!(scaler.apply(&array![100u8, 255])?, array![0.5, 1.275]);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MinMax {
    /// The smallest value of the training part, which becomes 0.
    pub min: f32,
    /// The greatest value of the training part, which becomes 1.
    pub max: f32,
}

impl MinMax {
    /// Takes the smallest and the greatest value of an array of any shape and any numbers.
    ///
    /// # Errors
    /// The array is empty, has a value that is NaN or infinite, holds one value only, or values so far
    /// apart that a float does not hold the difference.
    pub fn fit<A, S, D>(x: &ArrayBase<S, D>) -> Result<Self>
    where
        A: Element,
        S: Data<Elem = A>,
        D: Dimension,
    {
        check_values("min-max scaling", x)?;
        let (min, max) = x.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(min, max), &x| {
            (min.min(x.as_f32()), max.max(x.as_f32()))
        });
        if min == max {
            return Err(Error::data(format!(
                "min-max scaling: every value is {min}; wanted at least two different values"
            )));
        }
        if !(max - min).is_finite() {
            return Err(Error::data(format!(
                "min-max scaling: the values lie between {min} and {max}, which is more than a float \
                 holds; wanted smaller ones"
            )));
        }
        Ok(Self { min, max })
    }

    /// The scaled array, of the same shape; values outside the training part's range lie outside
    /// 0 to 1.
    ///
    /// # Errors
    /// The array is empty or has a value that is NaN or infinite.
    pub fn apply<A, S, D>(&self, x: &ArrayBase<S, D>) -> Result<Array<f32, D>>
    where
        A: Element,
        S: Data<Elem = A>,
        D: Dimension,
    {
        check_values("min-max scaling", x)?;
        let range = self.max - self.min;
        Ok(x.mapv(|x| (x.as_f32() - self.min) / range))
    }
}

/// Gives each channel of the training part the mean 0 and the standard deviation 1:
/// `(x − mean) / std`, with a mean and a (biased) standard deviation for each channel.
///
/// Channels are the last axis, as in images of shape `(n, h, w, channels)`.
///
/// ```
/// use convnet::preprocessing::Standardize;
/// use ndarray::array;
///
/// let train = array![[1.0f32, 10.0], [3.0, 30.0]];           // two samples, two channels
/// let scaler = Standardize::fit(&train)?;
/// assert_eq!(scaler, Standardize { mean: vec![2.0, 20.0], std: vec![1.0, 10.0] });
/// assert_eq!(scaler.apply(&train)?, array![[-1.0, -1.0], [1.0, 1.0]]);
/// assert_eq!(scaler.apply(&array![[2.0f32, 40.0]])?, array![[0.0, 2.0]]);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Standardize {
    /// The mean of each channel in the training part.
    pub mean: Vec<f32>,
    /// The standard deviation of each channel in the training part.
    pub std: Vec<f32>,
}

impl Standardize {
    /// Takes the mean and the standard deviation of each channel of an array `(.., channels)` of
    /// any numbers; sums are taken in `f64`.
    ///
    /// # Errors
    /// The array is empty, has a value that is NaN or infinite, or a channel holds one value only, or values
    /// so close that a float does not hold the deviation.
    pub fn fit<A, S, D>(x: &ArrayBase<S, D>) -> Result<Self>
    where
        A: Element,
        S: Data<Elem = A>,
        D: RemoveAxis,
    {
        check_values("standardisation", x)?;
        let last = last_axis(x)?;
        let (mut mean, mut std) = (Vec::new(), Vec::new());
        for (channel, x) in x.axis_iter(last).enumerate() {
            let value = |&x: &A| f64::from(x.as_f32());
            let first = value(x.first().expect("checked not to be empty"));
            // Not `variance == 0`: the mean of many equal values may be rounded away from them.
            if x.iter().all(|x| value(x) == first) {
                return Err(Error::data(format!(
                    "standardisation: every value of channel {channel} is {first}, so its \
                     standard deviation is 0; leave the channel out"
                )));
            }
            let n = x.len() as f64;
            let m = x.iter().map(value).sum::<f64>() / n;
            let variance = x.iter().map(|x| (value(x) - m).powi(2)).sum::<f64>() / n;
            mean.push(m as f32);
            std.push(variance.sqrt() as f32);
            if std[channel] == 0.0 {
                return Err(Error::data(format!(
                    "standardisation: the standard deviation of channel {channel} is too small for a \
                     float; leave the channel out"
                )));
            }
        }
        Ok(Self { mean, std })
    }

    /// The standardised array, of the same shape.
    ///
    /// # Errors
    /// The array is empty, has a value that is NaN or infinite, or another number of channels.
    pub fn apply<A, S, D>(&self, x: &ArrayBase<S, D>) -> Result<Array<f32, D>>
    where
        A: Element,
        S: Data<Elem = A>,
        D: RemoveAxis,
    {
        check_values("standardisation", x)?;
        let last = last_axis(x)?;
        let channels = x.len_of(last);
        if channels != self.mean.len() || channels != self.std.len() {
            return Err(Error::data(format!(
                "standardisation: got an array of shape {:?} with {channels} channels; wanted {}, \
                 as in the training part",
                x.shape(),
                self.mean.len()
            )));
        }
        let mut y = x.mapv(A::as_f32);
        for (mut y, (mean, std)) in y.axis_iter_mut(last).zip(self.mean.iter().zip(&self.std)) {
            y.mapv_inplace(|x| (x - mean) / std);
        }
        Ok(y)
    }
}

fn last_axis<S: Data, D: Dimension>(x: &ArrayBase<S, D>) -> Result<Axis> {
    x.ndim().checked_sub(1).map(Axis).ok_or_else(|| {
        Error::data(
            "standardisation: got a single number; wanted an array whose last axis is the channel",
        )
    })
}

fn check_values<A, S, D>(who: &str, x: &ArrayBase<S, D>) -> Result<()>
where
    A: Element,
    S: Data<Elem = A>,
    D: Dimension,
{
    if x.is_empty() {
        return Err(Error::data(format!("{who}: the array of shape {:?} is empty", x.shape())));
    }
    match x.iter().position(|&x| !x.as_f32().is_finite()) {
        Some(place) => Err(Error::data(format!(
            "{who}: value {place} (counted from 0 in row-major order) of the array of shape {:?} \
             is NaN or infinite",
            x.shape()
        ))),
        None => Ok(()),
    }
}

/// One-hot rows `(n, classes)` of class numbers `(n)`, which are integers of any type; Keras'
/// `to_categorical`. [`argmax`] leads back.
///
/// # Errors
/// There are no labels, a label is none of `0..classes`, or the rows have more bytes than can be counted.
///
/// ```
/// use convnet::preprocessing::{argmax, to_categorical};
/// use ndarray::array;
///
/// let labels = array![2u8, 0];
/// assert_eq!(to_categorical(&labels, 3)?, array![[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]);
/// assert_eq!(argmax(&to_categorical(&labels, 3)?)?, array![2, 0]);
/// # Ok::<(), convnet::Error>(())
/// ```
pub fn to_categorical<A, S>(labels: &ArrayBase<S, Ix1>, classes: usize) -> Result<Array2<f32>>
where
    A: Copy + Display + TryInto<usize>,
    S: Data<Elem = A>,
{
    if labels.is_empty() {
        return Err(Error::data("to_categorical: there are no labels"));
    }
    if !Shape::from([labels.len(), classes]).fits_in_memory() {
        return Err(Error::data(format!(
            "to_categorical: no array of {} rows and {classes} classes fits in memory; give the number \
             of classes, or use SparseCategoricalCrossentropy, which takes class numbers",
            labels.len()
        )));
    }
    let mut rows = Array2::zeros((labels.len(), classes));
    for (place, &label) in labels.iter().enumerate() {
        match label.try_into() {
            Ok(class) if class < classes => rows[[place, class]] = 1.0,
            _ => {
                return Err(Error::data(format!(
                    "to_categorical: label {place} is {label}; wanted a class of 0..{classes}"
                )));
            }
        }
    }
    Ok(rows)
}

/// The class of each row of `(n, classes)`, one-hot or probabilities as `predict` returns them: where its
/// greatest value stands, the first of them if there are several.
///
/// # Errors
/// The array has not two axes, no row or no column, or a value is NaN or infinite.
///
/// ```
/// use convnet::preprocessing::argmax;
/// use ndarray::array;
///
/// assert_eq!(argmax(&array![[0.1, 0.7, 0.2], [0.4, 0.2, 0.4]])?, array![1, 0]);
/// # Ok::<(), convnet::Error>(())
/// ```
pub fn argmax<S, D>(rows: &ArrayBase<S, D>) -> Result<Array1<usize>>
where
    S: Data<Elem = f32>,
    D: Dimension,
{
    check_values("argmax", rows)?;
    let dims = Shape::from(rows.shape());
    let rows = rows.view().into_dimensionality::<Ix2>().map_err(|_| {
        Error::data(format!("argmax: the array has the shape {dims}; give rows of (n, classes)"))
    })?;
    Ok(rows
        .outer_iter()
        .map(|row| (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best }))
        .collect())
}
