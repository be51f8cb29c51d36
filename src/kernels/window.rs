//! Where a window stands on an image.

/// The geometry of a convolution over one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Height and width of the image.
    pub(crate) input: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) strides: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Rows and columns of zeros above and left of the image.
    pub(crate) before: [usize; 2],
    /// Height and width of the result.
    pub(crate) output: [usize; 2],
}
