//! The table of layers.

use std::fmt;

use super::network::Network;

/// The table of a model's layers.
#[derive(Clone, Debug)]
pub struct Summary {
    rows: Vec<[String; 3]>,
}

impl Summary {
    pub(super) fn new(network: &Network) -> Self {
        let row = |step: &super::network::Step| {
            let params: usize = step.weights.iter().map(|weight| weight.shape.size()).sum();
            [step.name.clone(), step.shape.to_string(), params.to_string()]
        };
        Self { rows: network.steps.iter().map(row).collect() }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for [name, shape, params] in &self.rows {
            writeln!(f, "{name} {shape} {params}")?;
        }
        Ok(())
    }
}
