//! The steps between layers that want samples in rows and layers that want them in lanes. They are
//! put into a network by [`laid_out`](crate::model::Network::laid_out), never by users.

use rayon::prelude::*;

use super::{Backward, Infer, Layer, Layout};
use crate::kernels::lanes::LANES;
use crate::kernels::lanes::transpose::{from_lanes, to_lanes};
use crate::kernels::parallel::{Worth, bytes};
use crate::shape::Shape;

/// From rows to lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToLanes;

/// From lanes to rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FromLanes;

/// `rows (n, size)` to `blocks (n/16, size, 16)`.
fn blocks_from_rows(rows: &[f32], size: usize, blocks: &mut [f32]) {
    let blocks = blocks.as_chunks_mut().0.par_chunks_mut(size);
    let pairs = blocks.zip(rows.par_chunks(LANES * size));
    pairs.worth(bytes(8 * rows.len())).for_each(|(block, rows)| to_lanes(rows, block));
}

/// `blocks (n/16, size, 16)` to `rows (n, size)`.
fn rows_from_blocks(blocks: &[f32], size: usize, rows: &mut [f32]) {
    let work = bytes(8 * rows.len());
    let rows = rows.par_chunks_mut(LANES * size);
    let pairs = rows.zip(blocks.as_chunks().0.par_chunks(size));
    pairs.worth(work).for_each(|(rows, block)| from_lanes(block, rows));
}

impl Layer for ToLanes {
    fn class_name(&self) -> &'static str {
        "ToLanes"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0].clone())
    }

    fn infer(&self, pass: Infer<'_>) {
        assert_eq!(pass.layout, Layout::Lanes);
        blocks_from_rows(pass.x.get(0), pass.x.shape(0).size(), pass.y);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let size = pass.x.shape(0).size();
        if let Some(dx) = pass.dx.get(0) {
            rows_from_blocks(pass.dy, size, dx);
        }
    }
}

impl Layer for FromLanes {
    fn class_name(&self) -> &'static str {
        "FromLanes"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0].clone())
    }

    fn infer(&self, pass: Infer<'_>) {
        assert_eq!(pass.layout, Layout::Rows);
        rows_from_blocks(pass.x.get(0), pass.x.shape(0).size(), pass.y);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let size = pass.x.shape(0).size();
        if let Some(dx) = pass.dx.get(0) {
            blocks_from_rows(pass.dy, size, dx);
        }
    }
}
