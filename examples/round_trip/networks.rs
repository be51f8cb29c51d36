//! A network with every layer that other programs have, used by the tests too.

use convnet::layers::{FlipMode, Interpolation};
use convnet::prelude::*;
use ndarray::{Array1, Array4};

/// Every layer that ONNX has a like of, each an output of its own or on the way to one: images of 9 × 8
/// pixels with 4 channels, so that nothing is square or even by chance.
pub(crate) fn every_layer() -> convnet::Result<Model> {
    let image = Input::new([9, 8, 4]);
    let conv = image.apply(Conv2D::new(4, (2, 4)).padding(Same).activation(Elu))?;
    let normal = image.apply(BatchNormalization::new().epsilon(0.01))?;
    let rows = image.apply(Reshape::new([12, -1]))?;
    let outputs = vec![
        conv.clone(),
        conv.apply(Conv2D::new(6, 3).strides((2, 3)).padding(Same).groups(2).activation(Gelu))?,
        image.apply(Conv2D::new(3, 2).dilation_rate((2, 1)).padding(Same).use_bias(false))?,
        image.apply(Conv2D::new(5, (3, 2)).strides(2).activation(Softmax))?,
        image.apply(
            DepthwiseConv2D::new(3)
                .depth_multiplier(2)
                .strides(2)
                .padding(Same)
                .activation(GeluApproximate),
        )?,
        image.apply(
            SeparableConv2D::new(5, (3, 2))
                .depth_multiplier(2)
                .padding(Same)
                .dilation_rate((1, 2))
                .activation(Silu),
        )?,
        conv.apply(MaxPool2D::new(3).strides(2).padding(Same))?,
        conv.apply(MaxPool2D::new((2, 3)))?,
        conv.apply(AveragePooling2D::new(3).strides(2).padding(Same))?,
        image.apply(AveragePooling2D::new(2).strides(1).padding(Same))?,
        normal.apply(GlobalAveragePooling2D::new())?,
        conv.apply(GlobalMaxPool2D::new().keepdims(true))?,
        normal.apply(Rescaling::new(0.5).offset(-0.25))?,
        conv.apply(LocalResponseNormalization::new().n(3).alpha(0.5))?,
        image.apply(ZeroPadding2D::new(((0, 1), (2, 3))))?,
        image.apply(Resizing::new(13, 5))?,
        image.apply(Resizing::new(6, 17).interpolation(Interpolation::Nearest))?,
        rows.apply(Dense::new(5).activation(Softmax))?,
        rows.apply(BatchNormalization::new())?.apply(Flatten::new())?.apply(Relu6)?,
        image.apply(Dense::new(3).use_bias(false).activation(Tanh))?,
        conv.apply(Flatten::new())?.apply(Dense::new(7).activation(Sigmoid))?,
        [Node::from(&image), conv.clone(), normal.clone()].apply(Add::new())?,
        [&conv, &normal].apply(Multiply::new())?,
        [Node::from(&image), conv.clone()].apply(Average::new())?,
        [Node::from(&image), image.apply(Relu)?].apply(Concatenate::new())?,
        [&conv, &normal].apply(Concatenate::new())?,
        image.apply(LeakyRelu)?,
        image.apply(LeakyReLU::new().negative_slope(0.4))?,
        image.apply(ReLU::new())?,
        conv.apply(ReLU::new().max_value(0.75).negative_slope(0.1).threshold(0.25))?,
        image.apply(ReLU::new().negative_slope(0.1).threshold(0.25))?,
        image
            .apply(RandomFlip::new().mode(FlipMode::Horizontal))?
            .apply(RandomTranslation::new(0.1, 0.1))?
            .apply(RandomRotation::new(0.1))?
            .apply(RandomErasing::new())?
            .apply(Dropout::new(0.5))?
            .apply(Linear)?,
    ];
    let mut model = Model::new(&image, outputs)?;
    move_statistics(&mut model)?;
    Ok(model)
}

/// Gives batch normalisation and biases other numbers than those they start with.
pub(crate) fn move_statistics(model: &mut Model) -> convnet::Result<()> {
    let weights = model.weights();
    let vectors = weights.into_iter().filter(|(_, weight)| weight.ndim() == 1);
    let vectors: Vec<_> = vectors.map(|(name, weight)| (name, weight.len())).collect();
    for (seed, (name, len)) in vectors.into_iter().enumerate() {
        let least = if name.ends_with("gamma") || name.ends_with("variance") { 16 } else { -8 };
        let number = |i: usize| (least + ((i + seed) * 7 % 17) as i32) as f32 / 32.0;
        model.set_weight(&name, &Array1::from_shape_fn(len, number))?;
    }
    Ok(())
}

/// Images of pixels in −1..=1, the same everywhere.
pub(crate) fn images(shape: (usize, usize, usize, usize)) -> Array4<f32> {
    let (_, h, w, c) = shape;
    let place = |(n, y, x, k): (usize, usize, usize, usize)| ((n * h + y) * w + x) * c + k;
    Array4::from_shape_fn(shape, |at| (place(at) * 79 % 257) as f32 / 128.0 - 1.0)
}
