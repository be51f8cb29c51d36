//! The networks that are timed, and images for them.

use convnet::prelude::*;
use ndarray::{Array1, Array4};

/// A network's name, the shape of its images, its classes, and how it is built.
pub(crate) type Case =
    (&'static str, [usize; 3], usize, fn(&Input, usize) -> convnet::Result<Node>);

/// Every network that is timed.
pub(crate) const NETWORKS: [Case; 3] = [
    ("lenet5", [28, 28, 1], 10, |image, classes| models::lenet5(image, classes)),
    ("fashion_cnn", [28, 28, 1], 10, |image, classes| models::fashion_cnn(image, classes)),
    ("alexnet", [227, 227, 3], 1000, |image, classes| models::alexnet(image, classes)),
];

/// The network ready to be trained on class numbers, without metrics.
pub(crate) fn compiled(&(_, shape, classes, network): &Case) -> convnet::Result<CompiledModel> {
    let image = Input::new(shape);
    let class = network(&image, classes)?;
    Ok(Model::new(&image, &class)?.compile(Adam::default(), SparseCategoricalCrossentropy, ()))
}

/// `n` images from 0 to 1 and their class numbers, without a pattern.
pub(crate) fn samples(n: usize, &(_, [h, w, c], classes, _): &Case) -> (Array4<f32>, Array1<f32>) {
    let mut seed = 1_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 24) as f32
    };
    let images = Array4::from_shape_simple_fn((n, h, w, c), &mut next);
    (images, Array1::from_shape_simple_fn(n, || (next() * classes as f32).floor()))
}
