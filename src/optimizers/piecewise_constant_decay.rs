use super::{LearningRateSchedule, at_least_0};

/// A rate in steps: the first value up to and including the step of the first boundary, then the
/// next. Keras: `PiecewiseConstantDecay`.
///
/// # Errors
/// `fit` refuses boundaries that do not rise, another number of values than one more than there are
/// boundaries, and values that are negative or not finite.
///
/// ```
/// use convnet::optimizers::{LearningRateSchedule, PiecewiseConstantDecay};
///
/// let rate = PiecewiseConstantDecay::new([100, 200], [1.0, 0.5, 0.1]);
/// assert_eq!([0, 100, 101, 200, 201].map(|step| rate.at(step)), [1.0, 1.0, 0.5, 0.5, 0.1]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PiecewiseConstantDecay {
    boundaries: Vec<u64>,
    values: Vec<f64>,
}

impl PiecewiseConstantDecay {
    /// These values, each up to its boundary, and the last one from there on.
    pub fn new(boundaries: impl Into<Vec<u64>>, values: impl Into<Vec<f64>>) -> Self {
        Self { boundaries: boundaries.into(), values: values.into() }
    }
}

impl LearningRateSchedule for PiecewiseConstantDecay {
    fn at(&self, step: u64) -> f64 {
        self.values[self.boundaries.partition_point(|&boundary| boundary < step)]
    }

    fn check(&self) -> Result<(), String> {
        let [boundaries, values] = [self.boundaries.len(), self.values.len()];
        if values != boundaries + 1 {
            return Err(format!(
                "its PiecewiseConstantDecay has {values} values for {boundaries} boundaries; give \
                 one value more than boundaries"
            ));
        }
        if let Some(pair) = self.boundaries.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(format!(
                "a boundary of its PiecewiseConstantDecay is {} and the next one {}; each must be \
                 larger than the one before",
                pair[0], pair[1]
            ));
        }
        self.values
            .iter()
            .try_for_each(|&value| at_least_0([("a value of its PiecewiseConstantDecay", value)]))
    }
}
