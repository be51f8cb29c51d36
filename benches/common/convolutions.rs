//! The convolutions that are timed.

use convnet::bench::Convolution;
use convnet::layers::Padding::{self, Same, Valid};

/// A name; height, width and channels of the images; filters, kernel size, stride and padding.
pub(crate) type Case = (&'static str, [usize; 3], usize, usize, usize, Padding);

/// Those of LeNet-5 and AlexNet.
pub(crate) const NETWORKS: [Case; 7] = [
    ("lenet5.conv1", [28, 28, 1], 6, 5, 1, Same),
    ("lenet5.conv2", [14, 14, 6], 16, 5, 1, Valid),
    ("alexnet.conv1", [227, 227, 3], 96, 11, 4, Valid),
    ("alexnet.conv2", [27, 27, 96], 256, 5, 1, Same),
    ("alexnet.conv3", [13, 13, 256], 384, 3, 1, Same),
    ("alexnet.conv4", [13, 13, 384], 384, 3, 1, Same),
    ("alexnet.conv5", [13, 13, 384], 256, 3, 1, Same),
];

/// What is computed of a convolution, and the name it has in figures.
pub(crate) type Direction = (&'static str, fn(&mut Convolution));

/// All that a training step needs.
pub(crate) const DIRECTIONS: [Direction; 3] = [
    ("forward", Convolution::forward),
    ("backward_input", Convolution::backward_input),
    ("backward_weights", Convolution::backward_weights),
];

/// Floats from −1 to 1 without a pattern.
pub(crate) fn floats(len: usize, mut seed: u32) -> Vec<f32> {
    let next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A convolution of `n` images whose `x`, `w` and `dy` are drawn, and these three.
pub(crate) fn convolution(
    n: usize,
    &(_, [h, w, c], f, k, s, padding): &Case,
) -> (Convolution, [Vec<f32>; 3]) {
    let mut convolution = Convolution::new([n, h, w, c], f, k, s, padding);
    let [oh, ow] = [h, w].map(|cells| match padding {
        Same => cells.div_ceil(s),
        Valid => (cells - k) / s + 1,
    });
    let arrays = [floats(n * h * w * c, 1), floats(k * k * c * f, 2), floats(n * oh * ow * f, 3)];
    convolution.set(&arrays[0], &arrays[1], &arrays[2]);
    (convolution, arrays)
}
