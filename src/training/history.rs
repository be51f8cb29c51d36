use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::callbacks::Logs;

/// What `fit` returns: every number of every epoch, under Keras' keys.
///
/// ```
/// # use convnet::prelude::*;
/// # use ndarray::{Array1, Array2};
/// # let input = Input::new(2);
/// # let output = input.apply(Dense::new(2).activation(Softmax))?;
/// # let model = Model::new(&input, &output)?;
/// # let mut model = model.compile(Adam::default(), SparseCategoricalCrossentropy, [Accuracy]);
/// # let (x, y) = (Array2::<f32>::ones((8, 2)), Array1::<u8>::zeros(8));
/// let fit = Fit::new().epochs(3).validation_split(0.25).verbose(Verbose::Silent);
/// let history = model.fit(&x, &y, fit)?;
/// assert_eq!(history.epoch, [0, 1, 2]);
/// assert_eq!(history.history["val_loss"].len(), 3);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The epochs that ran, counted from 0.
    pub epoch: Vec<usize>,
    /// For each key, such as `loss` and `val_accuracy`, its value in each epoch.
    #[serde(with = "nan_as_null")]
    pub history: BTreeMap<String, Vec<f64>>,
}

/// JSON has no NaN: it is `null` there, and so is what `serde_json` makes of an infinity.
mod nan_as_null {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        history: &BTreeMap<String, Vec<f64>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let number = |number: &f64| (!number.is_nan()).then_some(*number);
        let numbers = |numbers: &Vec<f64>| numbers.iter().map(number).collect::<Vec<_>>();
        to.collect_map(history.iter().map(|(key, values)| (key, numbers(values))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<String, Vec<f64>>, D::Error> {
        let number = |number: Option<f64>| number.unwrap_or(f64::NAN);
        let numbers = |numbers: Vec<Option<f64>>| numbers.into_iter().map(number).collect();
        let history = BTreeMap::<String, Vec<Option<f64>>>::deserialize(from)?;
        Ok(history.into_iter().map(|(key, values)| (key, numbers(values))).collect())
    }
}

impl History {
    pub(crate) fn push(&mut self, epoch: usize, logs: &Logs) {
        self.epoch.push(epoch);
        for (name, value) in logs.iter() {
            self.history.entry(name.to_string()).or_default().push(value);
        }
    }
}
