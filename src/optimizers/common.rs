use std::ops::Range;

use super::{LearningRate, at_least_0, check_rate};
use crate::kernels::simd::level;
use crate::kernels::update;

/// What all optimizers share, as an optimizer of one's own keeps it.
///
/// ```
/// use convnet::optimizers::{Common, Optimizer, Step};
///
/// /// Moves every weight by the learning rate, whatever the size of its gradient.
/// #[derive(Debug)]
/// struct SignDescent(Common);
///
/// impl Optimizer for SignDescent {
///     fn name(&self) -> &'static str {
///         "sign descent"
///     }
///     fn common(&self) -> &Common {
///         &self.0
///     }
///     fn common_mut(&mut self) -> &mut Common {
///         &mut self.0
///     }
///     fn slots(&self) -> usize {
///         0
///     }
///     fn check(&self) -> Result<(), String> {
///         Ok(())
///     }
///     fn step(&self, step: Step, w: &mut [f32], g: &[f32], _: &mut [&mut [f32]]) {
///         let far = step.learning_rate as f32;
///         w.iter_mut().zip(g).for_each(|(w, g)| *w -= far * g.signum());
///     }
/// }
///
/// let mut descent = SignDescent(Common::new(0.5)).weight_decay(0.1);
/// let (mut w, mut g) = ([1.0, 2.0], [0.3, -7.0]);
/// descent.apply(&[0..2], &mut w, &mut g, &mut []);
/// assert_eq!(w, [0.45, 2.4]);
/// assert_eq!(descent.iterations(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Common {
    pub(super) learning_rate: LearningRate,
    pub(super) iterations: u64,
    pub(super) weight_decay: f64,
    pub(super) clipnorm: Option<f64>,
    pub(super) global_clipnorm: Option<f64>,
    pub(super) clipvalue: Option<f64>,
}

impl Common {
    /// A learning rate, and neither decay nor clipping.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self {
            learning_rate: learning_rate.into(),
            iterations: 0,
            weight_decay: 0.0,
            clipnorm: None,
            global_clipnorm: None,
            clipvalue: None,
        }
    }

    /// What sets the learning rate.
    pub fn learning_rate(&self) -> &LearningRate {
        &self.learning_rate
    }

    /// Goes on from a backup: after so many steps, with the learning rate that was set then if it followed
    /// no schedule. Whether that makes no sense.
    pub(crate) fn resume(&mut self, iterations: u64, rate: Option<f64>) -> Result<(), String> {
        /// In thousands of years nobody has taken more steps.
        const MOST: u64 = 1 << 53;
        if iterations > MOST {
            return Err(format!("it has taken {iterations} steps, more than make sense"));
        }
        self.iterations = iterations;
        match (rate, &self.learning_rate) {
            (Some(rate), _) => {
                check_rate(rate)?;
                self.learning_rate = rate.into();
                Ok(())
            }
            (None, LearningRate::Schedule(_)) => Ok(()),
            (None, LearningRate::Constant(_)) => {
                Err("its learning rate followed a schedule, and here it is a number".to_string())
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.learning_rate.check()?;
        at_least_0([("weight_decay", self.weight_decay)])?;
        let bounds = [
            ("clipnorm", self.clipnorm),
            ("global_clipnorm", self.global_clipnorm),
            ("clipvalue", self.clipvalue),
        ];
        let mut given = bounds.into_iter().filter_map(|(name, bound)| Some((name, bound?)));
        match [given.next(), given.next()] {
            [Some((one, _)), Some((other, _))] => {
                Err(format!("both {one} and {other} are given; choose one of them"))
            }
            [Some((name, bound)), None] if !(bound > 0.0 && bound.is_finite()) => {
                Err(format!("{name} is {bound}; it must be above 0 and finite, or not given"))
            }
            _ => Ok(()),
        }
    }

    /// Keeps gradients within the bounds given.
    pub(super) fn clip(&self, tensors: &[Range<usize>], g: &mut [f32]) {
        if let Some(most) = self.clipvalue {
            update::clip(g, most as f32);
        }
        if let Some(most) = self.global_clipnorm {
            scale_to(most, g);
        }
        if let Some(most) = self.clipnorm {
            tensors.iter().for_each(|place| scale_to(most, &mut g[place.clone()]));
        }
    }

    /// Shrinks the weights before a step.
    pub(super) fn decay(&self, learning_rate: f64, w: &mut [f32]) {
        if self.weight_decay > 0.0 {
            update::decay(level(), w, (learning_rate * self.weight_decay) as f32);
        }
    }
}

/// Scales gradients so that their norm is at most this.
fn scale_to(most: f64, g: &mut [f32]) {
    let norm = update::norm(level(), g);
    if norm > most {
        update::scale(g, (most / norm) as f32);
    }
}

#[cfg(test)]
mod tests {
    use crate::optimizers::{Adam, Optimizer, SGD, check};

    /// Three weights and their gradients, in two tensors; the weights after a step down.
    fn moved(mut sgd: SGD) -> [f32; 3] {
        let (mut w, mut g) = ([0.0; 3], [3.0, 4.0, -12.0]);
        sgd.apply(&[0..2, 2..3], &mut w, &mut g, &mut []);
        w
    }

    #[test]
    fn gradients_are_clipped() {
        let near = |found: [f32; 3], wanted: [f32; 3]| {
            let off = found.iter().zip(wanted).map(|(a, b)| (a - b).abs());
            assert!(off.fold(0.0, f32::max) < 1e-6, "{found:?} {wanted:?}");
        };
        assert_eq!(moved(SGD::new(1.0)), [-3.0, -4.0, 12.0]);
        assert_eq!(moved(SGD::new(1.0).clipvalue(3.5)), [-3.0, -3.5, 3.5]);
        near(moved(SGD::new(1.0).clipnorm(10.0)), [-3.0, -4.0, 10.0]);
        near(moved(SGD::new(1.0).clipnorm(1.0)), [-0.6, -0.8, 1.0]);
        near(moved(SGD::new(1.0).global_clipnorm(6.5)), [-1.5, -2.0, 6.0]);
        assert_eq!(moved(SGD::new(1.0).global_clipnorm(13.0)), [-3.0, -4.0, 12.0]);
    }

    /// One tensor of one number.
    #[allow(clippy::single_range_in_vec_init)]
    const ONE: [std::ops::Range<usize>; 1] = [0..1];

    #[test]
    fn gradients_of_zero_stay_so() {
        for optimizer in [SGD::new(1.0).clipnorm(1.0), SGD::new(1.0).global_clipnorm(1.0)] {
            let (mut optimizer, mut w) = (optimizer, [2.0]);
            optimizer.apply(&ONE, &mut w, &mut [0.0], &mut []);
            assert_eq!(w, [2.0]);
        }
    }

    /// Keras' own test: three steps with a decay of 0.004 and gradients of zero.
    #[test]
    fn weights_decay_before_the_step() {
        let (mut w, mut m, mut v) = ([2.0], [0.0], [0.0]);
        let mut adam = Adam::new(1.0).weight_decay(0.004);
        for _ in 0..3 {
            adam.apply(&ONE, &mut w, &mut [0.0], &mut [&mut m, &mut v]);
        }
        assert!((w[0] - 1.976_095_9).abs() < 3e-7, "{w:?}");
    }

    #[test]
    fn as_many_steps_as_are_told_apart_can_have_been_taken() {
        let mut common = super::Common::new(0.1);
        assert!(common.resume(1 << 53, Some(0.1)).is_ok());
        assert!(common.resume((1 << 53) + 1, Some(0.1)).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |adam: Adam, sentence: &str| assert_eq!(check(&adam).unwrap_err(), sentence);
        refused(
            Adam::default().clipnorm(1.0).clipvalue(2.0),
            "adam: both clipnorm and clipvalue are given; choose one of them",
        );
        for bound in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            refused(
                Adam::default().global_clipnorm(bound),
                &format!(
                    "adam: global_clipnorm is {bound}; it must be above 0 and finite, or not given"
                ),
            );
        }
        refused(
            Adam::default().weight_decay(-0.1),
            "adam: weight_decay is -0.1; it must be at least 0 and finite",
        );
    }
}
