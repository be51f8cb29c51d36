//! The networks that are timed, and images for them.

use convnet::prelude::*;
use ndarray::{Array1, Array4};

/// A network's name, the shape of its images, its classes, and how it is built.
pub(crate) type Case =
    (&'static str, [usize; 3], usize, fn(&Input, usize) -> convnet::Result<Node>);

/// Every network that is timed. Of the last three, for images as those of CIFAR-10, `resnet20` is He et al.'s (2016)
/// with convolutions in its shortcuts; `vgg` and `mobilenet` are small ones in the manner of Simonyan and Zisserman
/// (2015) and Howard et al. (2017).
pub(crate) const NETWORKS: [Case; 6] = [
    ("lenet5", [28, 28, 1], 10, |image, classes| models::lenet5(image, classes)),
    ("fashion_cnn", [28, 28, 1], 10, |image, classes| models::fashion_cnn(image, classes)),
    ("alexnet", [227, 227, 3], 1000, |image, classes| models::alexnet(image, classes)),
    ("vgg", [32, 32, 3], 10, vgg),
    ("resnet20", [32, 32, 3], 10, resnet20),
    ("mobilenet", [32, 32, 3], 10, mobilenet),
];

fn vgg(image: &Input, classes: usize) -> convnet::Result<Node> {
    let mut x = image.nodes().remove(0);
    for filters in [32, 64, 128] {
        x = normal_relu(x.apply(bare(filters, 3))?)?;
        x = normal_relu(x.apply(bare(filters, 3))?)?.apply(MaxPool2D::new(2))?;
    }
    let x = x.apply(Flatten::new())?.apply(Dense::new(128).activation(Relu))?;
    x.apply(Dense::new(classes).activation(Softmax))
}

fn resnet20(image: &Input, classes: usize) -> convnet::Result<Node> {
    let mut x = normal_relu(image.apply(bare(16, 3))?)?;
    for (filters, first) in [(16, 1), (32, 2), (64, 2)] {
        for strides in [first, 1, 1] {
            let y = normal_relu(x.apply(bare(filters, 3).strides(strides))?)?;
            let y = y.apply(bare(filters, 3))?.apply(BatchNormalization::new())?;
            if strides > 1 {
                let shortcut = bare(filters, 1).strides(strides);
                x = x.apply(shortcut)?.apply(BatchNormalization::new())?;
            }
            x = [&x, &y].apply(Add::new())?.apply(ReLU::new())?;
        }
    }
    x.apply(GlobalAveragePooling2D::new())?.apply(Dense::new(classes).activation(Softmax))
}

fn mobilenet(image: &Input, classes: usize) -> convnet::Result<Node> {
    let mut x = normal_relu(image.apply(bare(32, 3))?)?;
    for (filters, strides) in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1)] {
        let depthwise = DepthwiseConv2D::new(3).padding(Same).strides(strides).use_bias(false);
        x = normal_relu(x.apply(depthwise)?)?;
        x = normal_relu(x.apply(bare(filters, 1))?)?;
    }
    x.apply(GlobalAveragePooling2D::new())?.apply(Dense::new(classes).activation(Softmax))
}

/// A convolution in front of a normalisation.
fn bare(filters: usize, kernel: usize) -> Conv2D {
    Conv2D::new(filters, kernel).padding(Same).use_bias(false)
}

fn normal_relu(x: Node) -> convnet::Result<Node> {
    x.apply(BatchNormalization::new())?.apply(ReLU::new())
}

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
