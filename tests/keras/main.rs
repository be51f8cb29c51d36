//! Losses, metrics, optimizers, callbacks, resized images and whole trainings compared with what Keras
//! computes; the layers are compared in `src/layers/keras.rs`, where their gradients can be seen.

use convnet::layers::{LayerSpec, Pair};
use convnet::prelude::*;

mod callbacks;
mod curves;
mod fixtures;
mod losses;
mod metrics;
mod optimizers;
mod parameters;
mod resized;
mod training;
