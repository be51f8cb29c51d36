//! What an optimizer does after each step: to the gradients, then to the weights.

use super::parallel::CHUNK;
use rayon::prelude::*;
use rayon::slice::{Chunks, ChunksMut};

mod adam;
mod clip;
mod penalty;
mod rmsprop;
mod sgd;

pub(crate) use adam::{AdamStep, adam};
pub(crate) use clip::{add_share, clip, decay, norm, scale};
pub(crate) use penalty::{add_penalty_gradient, penalty};
pub(crate) use rmsprop::{RmspropStep, rmsprop};
pub(crate) use sgd::{SgdStep, sgd};

/// The pieces of what moves, and those of what it moves by.
fn pieces<'a>(
    moves: &'a mut [f32],
    by: &'a [f32],
) -> rayon::iter::Zip<ChunksMut<'a, f32>, Chunks<'a, f32>> {
    assert_eq!(moves.len(), by.len(), "as many gradients as weights");
    moves.par_chunks_mut(CHUNK).zip(by.par_chunks(CHUNK))
}
