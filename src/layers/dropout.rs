use std::sync::Arc;

use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    Activation, Backward, Config, Details, Forward, Infer, Lanes, Layer, Layout, config_of, single,
};
use crate::kernels::parallel::{Worth, bytes};
use crate::random::{derive, generator};
use crate::shape::Shape;

/// In training, sets each element to 0 with probability `rate` and divides the others by
/// `1 − rate`; in inference does nothing (Srivastava et al. 2014). Keras: `Dropout`.
///
/// Masks depend on the seed of `fit`, the epoch, the batch and the layer alone.
///
/// # Errors
/// `apply` refuses a rate outside `0..=1`.
///
/// ```
/// use convnet::prelude::*;
///
/// let x = Input::new(10);
/// assert_eq!(x.apply(Dropout::new(0.25))?.shape(), x.shape());
/// assert!(x.apply(Dropout::new(1.5)).is_err());
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    rate: f64,
}

/// Elements whose mask comes from one generator: enough to forget what seeding it costs, few enough
/// to spread over threads. Changing it changes every mask.
const PIECE: usize = 4096;

impl Dropout {
    /// Drops this fraction of the elements, in `0..=1`.
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }
}

impl Layer for Dropout {
    fn class_name(&self) -> &'static str {
        "Dropout"
    }

    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(format!("its rate is {}; it is a fraction from 0 to 1", self.rate));
        }
        single(inputs).cloned()
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        Lanes::Either
    }

    /// The factor of each element: 0 or `1 / (1 − rate)`.
    fn saved_len(&self, inputs: &[Shape], n: usize, layout: Layout) -> usize {
        layout.floats(n, inputs[0].size())
    }

    fn is_per_sample(&self) -> bool {
        true
    }

    fn infer(&self, pass: Infer<'_>) {
        pass.y.copy_from_slice(pass.x.get(0));
    }

    fn forward(&self, pass: Forward<'_>) {
        let (x, y, saved) = (pass.x.get(0), pass.y, pass.saved);
        let dropped = (self.rate * 65536.0).round() as u64;
        // Infinite, but never used, where all are dropped.
        let factor = 65536.0 / (65536 - dropped) as f32;
        let pieces = y.par_chunks_mut(PIECE).zip(saved.par_chunks_mut(PIECE)).enumerate();
        pieces.worth(bytes(16 * x.len())).for_each(|(piece, (y, saved))| {
            draw(saved, derive(pass.seed, piece as u64), dropped, factor);
            let x = &x[piece * PIECE..][..y.len()];
            y.iter_mut().zip(x).zip(&*saved).for_each(|((y, x), factor)| *y = x * factor);
        });
    }

    fn backward(&self, mut pass: Backward<'_>) {
        if let Some(dx) = pass.dx.get(0) {
            let (dy, factors) = (pass.dy.par_chunks(PIECE), pass.saved.par_chunks(PIECE));
            let pieces = dx.par_chunks_mut(PIECE).zip(dy.zip(factors));
            pieces.worth(bytes(12 * pass.dy.len())).for_each(|(dx, (dy, factors))| {
                let gradients = dx.iter_mut().zip(dy).zip(factors);
                gradients.for_each(|((dx, dy), factor)| *dx = dy * factor);
            });
        }
    }

    fn at_inference(&self) -> Option<Arc<dyn Layer>> {
        Some(Arc::new(Activation::Linear))
    }

    fn details(&self, _inputs: &[Shape]) -> Details {
        Details::default().setting(format!("rate {}, in training only", self.rate))
    }
}

/// Sets each to 0 with a chance of `dropped` in 65,536, else to `factor`; four from one number of the generator.
fn draw(factors: &mut [f32], seed: u64, dropped: u64, factor: f32) {
    let mut random = generator(seed);
    let mut four = || {
        let bits = random.next_u64();
        [0, 16, 32, 48].map(|by| if bits >> by & 0xffff < dropped { 0.0 } else { factor })
    };
    let (fours, rest) = factors.as_chunks_mut();
    fours.iter_mut().for_each(|factors| *factors = four());
    rest.copy_from_slice(&four()[..rest.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check::{self, Bench};
    use ndarray::{Array2, ArrayD};

    /// More than one piece a batch, and the last one is not full.
    const SIZE: usize = 3 * PIECE / 2 + 5;

    fn ones() -> [ArrayD<f32>; 1] {
        [Array2::ones((2, SIZE)).into_dyn()]
    }

    #[test]
    fn obeys_the_laws() {
        check::laws(|| Dropout::new(0.3), &[[5, 4].into()]);
    }

    #[test]
    fn drops_its_share_and_scales_the_rest() {
        let mut bench = Bench::new(Dropout::new(0.25), &[SIZE.into()], 2, Layout::Rows);
        let y = bench.forward(&ones()).to_vec();
        assert!(y.iter().all(|&y| y == 0.0 || y == 4.0 / 3.0));
        let dropped = y.iter().filter(|&&y| y == 0.0).count() as f64 / y.len() as f64;
        // Three deviations of so many draws.
        assert!((dropped - 0.25).abs() < 0.012, "{dropped}");
        let counted = [Array2::from_shape_fn((2, SIZE), |(i, j)| (i * SIZE + j) as f32).into_dyn()];
        let masked = counted[0].iter().zip(&y).map(|(x, factor)| x * factor);
        assert!(bench.forward(&counted).iter().copied().eq(masked), "each element in its place");
        bench.backward(&vec![1.0; 2 * SIZE]);
        assert_eq!(bench.gradient("input_0/offset"), y, "the same mask");
        assert_eq!(bench.predict(&ones()), ones()[0], "inference");
    }

    #[test]
    fn rate_0_does_nothing_and_rate_1_drops_all() {
        // So many that one of 2¹⁶ would be among them.
        const MANY: usize = 1 << 19;
        for (rate, y) in [(0.0, 1.0), (1.0, 0.0)] {
            let mut bench = Bench::new(Dropout::new(rate), &[MANY.into()], 1, Layout::Rows);
            let ones = [Array2::ones((1, MANY)).into_dyn()];
            assert!(bench.forward(&ones).iter().all(|&found| found == y));
        }
    }

    #[test]
    fn refuses_what_is_no_fraction() {
        for rate in [-0.1, 1.5, f64::NAN] {
            let sentence =
                format!("dropout: cannot take an input of shape (5): its rate is {rate}");
            check::refuses(Dropout::new(rate), &[[5].into()], &sentence);
        }
    }
}
