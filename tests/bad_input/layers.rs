//! Layers that are misconfigured or applied to what they cannot take: refused at the `apply` line.

use convnet::ErrorKind;
use convnet::prelude::*;

/// Demands a layer's refusal with this sentence, followed by a place in this file.
#[track_caller]
fn refused(result: convnet::Result<Node>, sentence: &str) {
    let Err(error) = result else { panic!("should be refused: {sentence}") };
    let begin = format!("{sentence} ({}:", file!());
    assert!(error.to_string().starts_with(&begin), "{error}\nshould begin with\n{begin}");
    assert_eq!(error.kind(), ErrorKind::Layer);
}

#[test]
fn the_callers_file_and_line_are_named() {
    let image = Input::new([3, 3, 8]);
    let (error, line) = (image.apply(Conv2D::new(16, 5)).unwrap_err(), line!());
    let sentence = "conv2d: cannot take an input of shape (3, 3, 8): a 5×5 kernel does not fit; \
                    use padding(Same) or a smaller kernel";
    let begin = format!("{sentence} ({}:{line}:", file!());
    assert!(error.to_string().starts_with(&begin), "{error}\nshould begin with\n{begin}");

    let (error, line) = (models::lenet5(&image, 10).unwrap_err(), line!());
    assert!(error.to_string().contains(&format!("({}:{line}:", file!())), "{error}");
}

#[test]
fn a_layer_with_a_name_is_called_by_it() {
    refused(
        Input::new(3).apply(Dense::new(0).name("head")),
        "head: cannot take an input of shape (3): it has 0 units; give at least 1",
    );
}

#[test]
fn sizes_of_zero() {
    let image = Input::new([8, 8, 3]);
    let got = "cannot take an input of shape (8, 8, 3)";
    for (layer, sentence) in [
        (image.apply(Conv2D::new(0, 3)), "conv2d: {}: it has 0 filters; give at least 1"),
        (
            image.apply(Conv2D::new(4, (3, 0))),
            "conv2d: {}: its kernel is 3×0; every size is at least 1",
        ),
        (
            image.apply(Conv2D::new(4, 3).strides((0, 1))),
            "conv2d: {}: its strides are 0×1; every size is at least 1",
        ),
        (
            image.apply(MaxPool2D::new(0)),
            "max_pooling2d: {}: its pool is 0×0; every size is at least 1",
        ),
        (
            image.apply(AveragePooling2D::new(2).strides(0)),
            "average_pooling2d: {}: its strides are 0×0; every size is at least 1",
        ),
    ] {
        refused(layer, &sentence.replace("{}", got));
    }
    refused(
        Input::new([8, 0, 3]).apply(Flatten::new()),
        "flatten: cannot take an input of shape (8, 0, 3): an input of shape (8, 0, 3) would be \
         empty; every size is at least 1",
    );
}

#[test]
fn weights_that_cannot_start_or_cost() {
    let x = Input::new(3);
    let got = "dense: cannot take an input of shape (3): the weight";
    let drawn = Initializer::RandomNormal { mean: 0.0, stddev: -1.0 };
    refused(
        x.apply(Dense::new(2).kernel_initializer(drawn)),
        &format!(
            "{got} `kernel` is drawn with a mean of 0 and a stddev of -1; give finite numbers, the \
             stddev at least 0"
        ),
    );
    refused(
        x.apply(Dense::new(2).bias_regularizer(L1(-0.5))),
        &format!(
            "{got} `bias` is regularised by a factor of -0.5; it must be at least 0 and finite"
        ),
    );
}

#[test]
fn windows_larger_than_the_image() {
    let image = Input::new([4, 9, 1]);
    let got = "cannot take an input of shape (4, 9, 1)";
    refused(
        image.apply(Conv2D::new(2, (5, 2))),
        &format!("conv2d: {got}: a 5×2 kernel does not fit; use padding(Same) or a smaller kernel"),
    );
    refused(
        image.apply(MaxPool2D::new(5)),
        &format!(
            "max_pooling2d: {got}: a 5×5 pool does not fit; use padding(Same) or a smaller pool"
        ),
    );
    refused(
        image.apply(AveragePooling2D::new((2, 10))),
        &format!(
            "average_pooling2d: {got}: a 2×10 pool does not fit; use padding(Same) or a smaller \
             pool"
        ),
    );
}

#[test]
fn images_smaller_than_a_network() {
    let refused_below = |[height, width]: [usize; 2],
                         who: &str,
                         build: &dyn Fn(&Input) -> convnet::Result<Node>| {
        build(&Input::new([height, width, 3])).unwrap();
        for [h, w] in [[height - 1, width], [height, width - 1]] {
            refused(
                build(&Input::new([h, w, 3])),
                &format!(
                    "{who}: cannot take an input of shape ({h}, {w}, 3): it wants images of at \
                     least {height}×{width}; give larger ones, or apply \
                     Resizing::new({height}, {width}) first"
                ),
            );
        }
    };
    refused_below([67, 67], "alexnet", &|image| models::alexnet(image, 10));
    let pools = models::AlexNet::new(10).pool_size((2, 4));
    refused_below([39, 95], "alexnet", &|image| pools.build(image));
    refused_below([12, 12], "lenet5", &|image| models::lenet5(image, 10));
}

#[test]
fn vectors_where_images_are_wanted() {
    let x = Input::new(784);
    let rest = "cannot take an input of shape (784): it wants images of (height, width, channels); \
                give the Input three sizes, or use Reshape";
    refused(x.apply(Conv2D::new(2, 3)), &format!("conv2d: {rest}"));
    refused(x.apply(MaxPool2D::new(2)), &format!("max_pooling2d: {rest}"));
    refused(x.apply(AveragePooling2D::new(2)), &format!("average_pooling2d: {rest}"));
    let no_axis: [usize; 0] = [];
    refused(
        Input::new(no_axis).apply(Dense::new(1)),
        "dense: cannot take an input of shape (): it wants at least one axis",
    );
}

#[test]
fn rates_that_are_no_fractions() {
    for rate in [1.5, -0.1, f64::NAN] {
        refused(
            Input::new(3).apply(Dropout::new(rate)),
            &format!(
                "dropout: cannot take an input of shape (3): its rate is {rate}; it is a fraction \
                 from 0 to 1"
            ),
        );
    }
}

#[test]
fn settings_of_batch_normalisation() {
    let refused_with = |layer: BatchNormalization, why: &str| {
        refused(
            Input::new(3).apply(layer),
            &format!("batch_normalization: cannot take an input of shape (3): {why}"),
        );
    };
    for momentum in [-0.1, 1.1, f64::NAN] {
        let why = format!("its momentum is {momentum}; it lies in 0..=1");
        refused_with(BatchNormalization::new().momentum(momentum), &why);
    }
    for epsilon in [0.0, -1.0, f64::INFINITY] {
        let why = format!("its epsilon is {epsilon}; it is a positive number");
        refused_with(BatchNormalization::new().epsilon(epsilon), &why);
    }
}

#[test]
fn too_few_or_too_many_inputs() {
    let (a, b) = (Input::new(3), Input::new(3));
    refused(
        [&a, &b].apply(Dense::new(2)),
        "dense: cannot take inputs of shapes (3), (3): it takes one input, got 2; join them with \
         Add or Concatenate first",
    );
    refused(
        a.apply(Add::new()),
        "add: cannot take an input of shape (3): it wants at least two inputs: \
         [a, b].apply(Add::new())",
    );
    refused(
        a.apply(Concatenate::new()),
        "concatenate: cannot take an input of shape (3): it wants at least two inputs: \
         [a, b].apply(Concatenate::new())",
    );
    refused(
        Vec::<Node>::new().apply(Add::new()),
        "add: cannot take no input at all: a layer is applied to at least one node",
    );
}

#[test]
fn inputs_that_do_not_go_together() {
    let (a, b) = (Input::new([4, 4, 2]), Input::new([4, 5, 2]));
    refused(
        [&a, &b].apply(Add::new()),
        "add: cannot take inputs of shapes (4, 4, 2), (4, 5, 2): it wants inputs of the same shape; give what leads to them the same sizes",
    );
    refused(
        [&a, &b].apply(Concatenate::new()),
        "concatenate: cannot take inputs of shapes (4, 4, 2), (4, 5, 2): it wants inputs that \
         differ in the last axis only",
    );
}

#[test]
fn sizes_beyond_any_memory() {
    const MAX: usize = usize::MAX;
    refused(
        Input::new(3).apply(Dense::new(MAX)),
        &format!(
            "dense: cannot take an input of shape (3): the output of shape ({MAX}) would have more \
             than 17179869184 floats; use smaller sizes"
        ),
    );
    refused(
        Input::new([MAX, MAX, MAX]).apply(Flatten::new()),
        &format!(
            "flatten: cannot take an input of shape ({MAX}, {MAX}, {MAX}): an input of shape \
             ({MAX}, {MAX}, {MAX}) would have more than 17179869184 floats; use smaller sizes"
        ),
    );
    let image = Input::new([28, 28, 1]);
    refused(
        image.apply(Conv2D::new(2, MAX)),
        &format!(
            "conv2d: cannot take an input of shape (28, 28, 1): a {MAX}×{MAX} kernel does not fit; \
             use padding(Same) or a smaller kernel"
        ),
    );
    refused(
        image.apply(Conv2D::new(2, (MAX, 1)).padding(Same)),
        &format!(
            "conv2d: cannot take an input of shape (28, 28, 1): the weight `kernel` of shape \
             ({MAX}, 1, 1, 2) would have more than 17179869184 floats; use smaller sizes"
        ),
    );
    refused(
        image.apply(Conv2D::new(MAX, 3)),
        &format!(
            "conv2d: cannot take an input of shape (28, 28, 1): the output of shape \
             (26, 26, {MAX}) would have more than 17179869184 floats; use smaller sizes"
        ),
    );
    refused(
        image.apply(MaxPool2D::new(MAX)),
        &format!(
            "max_pooling2d: cannot take an input of shape (28, 28, 1): a {MAX}×{MAX} pool does not \
             fit; use padding(Same) or a smaller pool"
        ),
    );
    let thick = Input::new([1, 1, MAX / 2]);
    assert!([&thick, &thick, &thick].apply(Concatenate::new()).is_err());
}

/// Not refused: these sizes are odd but mean something, and must not overflow.
#[test]
fn enormous_strides_and_pools_compute() {
    let image = Input::new([3, 3, 1]);
    let x = ndarray::Array4::from_shape_fn((2, 3, 3, 1), |(n, y, x, _)| (n * 9 + y * 3 + x) as f32);
    let run = |node: Node| {
        let y = Model::new(&image, &node).unwrap().predict(&x).unwrap();
        y.into_iter().collect::<Vec<f32>>()
    };
    let huge = usize::MAX;
    let pool = MaxPool2D::new(huge).padding(Same);
    assert_eq!(run(image.apply(pool).unwrap()), [8.0, 17.0]);
    let pool = AveragePooling2D::new(huge).padding(Same);
    assert_eq!(run(image.apply(pool).unwrap()), [4.0, 13.0]);
    let pool = MaxPool2D::new(2).strides(huge);
    assert_eq!(run(image.apply(pool).unwrap()), [4.0, 13.0]);
    let conv = Conv2D::new(1, 1).strides(huge).kernel_initializer(Initializer::Ones);
    assert_eq!(run(image.apply(conv).unwrap()), [0.0, 9.0]);
    // All taps but the middle one, where there is one, lie beyond the image.
    let whole: Vec<f32> = (0..18).map(|x| x as f32).collect();
    for (size, expected) in [(1, whole.clone()), (2, vec![0.0; 18]), (3, whole)] {
        for dilation in [huge, 1 << 40, 7] {
            let conv = Conv2D::new(1, size).kernel_initializer(Initializer::Ones);
            let conv = conv.dilation_rate(dilation).padding(Same);
            assert_eq!(run(image.apply(conv).unwrap()), expected, "{size} {dilation}");
            let depthwise = DepthwiseConv2D::new(size).depthwise_initializer(Initializer::Ones);
            let depthwise = depthwise.dilation_rate(dilation).padding(Same);
            assert_eq!(run(image.apply(depthwise).unwrap()), expected, "{size} {dilation}");
        }
    }
}

/// With several channels it was the product with these that overflowed.
#[test]
fn enormous_strides_with_channels() {
    let image = Input::new([4, 5, 3]);
    let x = ndarray::Array4::from_shape_fn((2, 4, 5, 3), |(n, y, x, c)| {
        ((n * 7 + y * 5 + x * 3 + c) % 11) as f32
    });
    let y = ndarray::array![0u8, 1];
    let trained = |node: Node| {
        let class = node.apply(Flatten::new()).unwrap();
        let class = class.apply(Dense::new(2).activation(Softmax)).unwrap();
        let model = Model::new(&image, &class).unwrap();
        let mut model = model.compile(SGD::default(), SparseCategoricalCrossentropy, ());
        let loss = model.train_on_batch(&x, &y, 0).unwrap();
        (loss, model.predict(&x).unwrap())
    };
    let layers = |strides: usize, padding| {
        [
            image.apply(Conv2D::new(2, 3).strides(strides).padding(padding)),
            image.apply(Conv2D::new(3, 3).groups(3).strides(strides).padding(padding)),
            image.apply(DepthwiseConv2D::new(3).strides((strides, 5)).padding(padding)),
            image.apply(SeparableConv2D::new(2, 3).strides((5, strides)).padding(padding)),
            image.apply(MaxPool2D::new(3).strides(strides).padding(padding)),
            image.apply(AveragePooling2D::new(3).strides(strides).padding(padding)),
        ]
        .map(|node| trained(node.unwrap()))
    };
    for padding in [Same, Valid] {
        for strides in [usize::MAX, usize::MAX / 3, 1 << 62, 1 << 20] {
            assert_eq!(layers(strides, padding), layers(5, padding), "{strides}, {padding:?}");
        }
    }
}
