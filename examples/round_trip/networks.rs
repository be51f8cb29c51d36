//! The networks of the round trip, used by the tests too.

use convnet::layers::{FlipMode, Interpolation};
use convnet::prelude::*;
use ndarray::Array1;

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
        (&image, &conv, &normal).apply(Add::new())?,
        [&conv, &normal].apply(Multiply::new())?,
        (&image, &conv).apply(Average::new())?,
        (&image, image.apply(Relu)?).apply(Concatenate::new())?,
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

/// A small network with every layer with weights, a vector that is joined from two branches, and batch
/// normalisation behind `Flatten`: its layers are called as in the other programs.
pub(crate) fn small() -> convnet::Result<Model> {
    let image = Input::new([8, 6, 2]);
    let x = image
        .apply(Conv2D::new(4, 3).padding(Same).activation(Relu).groups(2).name("conv"))?
        .apply(BatchNormalization::new().name("norm"))?
        .apply(DepthwiseConv2D::new(3).depth_multiplier(2).padding(Same).name("depthwise"))?
        .apply(SeparableConv2D::new(6, 3).activation(Tanh).name("separable"))?
        .apply(MaxPool2D::new(2))?;
    let flat = x.apply(Flatten::new())?.apply(BatchNormalization::new().name("flat_norm"))?;
    let left = flat.apply(Dense::new(5).activation(Relu).name("left"))?;
    let right = x.apply(GlobalAveragePooling2D::new())?.apply(Dense::new(5).name("right"))?;
    let sum = [&left, &right].apply(Add::new())?.apply(Dropout::new(0.5))?;
    let class = [&sum, &flat]
        .apply(Concatenate::new())?
        .apply(Dense::new(3).activation(Softmax).name("head"))?;
    let mut model = Model::new(&image, &class)?;
    move_statistics(&mut model)?;
    Ok(model)
}

/// A network whose layers have no names of their own.
pub(crate) fn plain() -> convnet::Result<Model> {
    let image = Input::new([10, 10, 1]);
    let class = image
        .apply(Conv2D::new(3, 3).padding(Same).activation(Relu))?
        .apply(MaxPool2D::new(2))?
        .apply(Conv2D::new(4, 2).activation(Relu))?
        .apply(Flatten::new())?
        .apply(Dense::new(6).activation(Relu))?
        .apply(Dense::new(4).activation(Softmax))?;
    let mut model = Model::new(&image, &class)?;
    move_statistics(&mut model)?;
    Ok(model)
}

/// The modules that the other side has for the layers of `plain`, LeNet-5 and `fashion_cnn`.
pub(crate) const PLAIN: [(&str, &str); 4] =
    [("conv2d", "conv1"), ("conv2d_1", "conv2"), ("dense", "fc1"), ("dense_1", "fc2")];

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
