//! Losses, the optimizer, resized images and whole trainings compared with what Keras computes; the layers are
//! compared in `src/layers/keras.rs`, where their gradients can be seen.

use convnet::layers::{LayerSpec, Pair};
use convnet::prelude::*;

mod adam;
mod fixtures;
mod losses;
mod parameters;
mod resized;
mod training;
