use std::ops::Range;

use crate::kernels::simd::level;
use crate::kernels::update::{add_penalty_gradient, penalty};
use crate::model::Network;

/// The regularised weights of a network that are trained.
#[derive(Debug)]
pub(super) struct Penalties {
    /// Where each lies, and its factors.
    weights: Vec<(Range<usize>, [f32; 2])>,
}

impl Penalties {
    pub(super) fn new(network: &Network) -> Self {
        let trained = network.trained();
        let weights =
            trained.filter_map(|(spec, place)| Some((place, spec.regularizer?.factors())));
        Self { weights: weights.collect() }
    }

    /// What all of them add to the loss.
    pub(super) fn sum(&self, weights: &[f32]) -> f64 {
        let each = self.weights.iter();
        each.map(|(place, factors)| penalty(level(), *factors, &weights[place.clone()])).sum()
    }

    /// Adds what they add to the gradients.
    pub(super) fn add_gradients(&self, weights: &[f32], gradients: &mut [f32]) {
        for (place, factors) in &self.weights {
            let (w, g) = (&weights[place.clone()], &mut gradients[place.clone()]);
            add_penalty_gradient(level(), *factors, w, g);
        }
    }
}
