use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    pub history: BTreeMap<String, Vec<f64>>,
}

impl History {
    pub(crate) fn push(&mut self, epoch: usize, logs: &Logs) {
        self.epoch.push(epoch);
        for (name, value) in logs.iter() {
            self.history.entry(name.to_string()).or_default().push(value);
        }
    }
}
