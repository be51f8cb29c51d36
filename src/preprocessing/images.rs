use crate::error::{Error, Result};
use crate::kernels::buffer::with_scratch;
use crate::samples::{Column, IntoSamples};
use crate::shape::Shape;

/// Images that a source changes on the way: an array or another source.
#[derive(Debug)]
pub(super) struct Images<'a> {
    column: Column<'a>,
    pub(super) n: usize,
    /// Height, width and channels of one.
    pub(super) shape: [usize; 3],
}

impl<'a> Images<'a> {
    /// Checks that these are images. `who` is the source that is to change them.
    pub(super) fn new(images: impl IntoSamples<'a>, who: &str) -> Result<Self> {
        let mut columns = images.into_samples();
        if columns.len() != 1 {
            let count = columns.len();
            return Err(Error::data(format!("{who}: got {count} arrays; give one of images")));
        }
        let column = columns.remove(0);
        let dims = column.dims();
        match dims[..] {
            [n, h, w, c] if !dims.contains(&0) => Ok(Self { column, n, shape: [h, w, c] }),
            _ => Err(Error::data(format!(
                "{who}: the images have the shape {}; wanted (n, height, width, channels), none of \
                 them 0",
                Shape::from(dims)
            ))),
        }
    }

    /// Calls `f` with the image of this index.
    pub(super) fn read(
        &self,
        index: usize,
        seed: Option<u64>,
        f: impl FnOnce(&[f32]),
    ) -> Result<()> {
        let size = self.shape.iter().product();
        match &self.column {
            Column::Array { floats, .. } => {
                f(&floats[index * size..][..size]);
                Ok(())
            }
            Column::Samples(samples) => with_scratch(size, |image| {
                image.fill(0.0);
                samples.load(index, seed, image).map(|()| f(image))
            }),
        }
    }
}
