//! Networks of random layers with settings that are small, and sometimes absurd: refused in a sentence, or
//! right. What is right predicts what its shapes promise, twice the same, trains twice the same, and comes
//! back from a file.

#![no_main]

use arbitrary::Arbitrary;
use convnet::layers::{FillMode, FlipMode, Interpolation, Padding, Pair};
use convnet::prelude::*;
use convnet_fuzz::{bits, is_small, samples, saved, views, weights};
use libfuzzer_sys::fuzz_target;
use ndarray::{ArrayD, IxDyn};

/// A size, mostly small.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Size(u8);

impl Size {
    fn get(self) -> usize {
        const ABSURD: [usize; 8] =
            [0, 255, 1 << 16, 1 << 31, 1 << 32, 1 << 35, usize::MAX / 2, usize::MAX];
        match self.0 {
            small @ 0..200 => usize::from(small % 8 + 1),
            larger @ 200..240 => usize::from(larger - 190),
            absurd => ABSURD[usize::from(absurd % 8)],
        }
    }
}

/// A number, mostly within `0..1`.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Real(u8);

impl Real {
    fn get(self) -> f64 {
        const ODD: [f64; 16] = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            -0.25,
            2.0,
            6.0,
            1e-3,
            1e-30,
            1e30,
            -1e30,
            1e300,
            f64::MIN_POSITIVE,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
        ];
        match self.0 {
            odd @ 0..64 => ODD[usize::from(odd % 16)],
            part => f64::from(part - 64) / 192.0,
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Sizes(Size, Size);

impl Sizes {
    fn get(self) -> Pair {
        Pair([self.0.get(), self.1.get()])
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Drawn {
    kind: u8,
    first: Real,
    second: Real,
}

impl Drawn {
    fn get(self) -> Initializer {
        let (first, second) = (self.first.get() as f32, self.second.get() as f32);
        match self.kind % 16 {
            0 => Initializer::Zeros,
            1 => Initializer::Ones,
            2 => Initializer::Constant(first),
            3 => Initializer::GlorotNormal,
            4 => Initializer::HeUniform,
            5 => Initializer::HeNormal,
            6 => Initializer::LecunUniform,
            7 => Initializer::LecunNormal,
            8 => Initializer::RandomUniform { minval: first, maxval: second },
            9 => Initializer::RandomNormal { mean: first, stddev: second },
            10 => Initializer::TruncatedNormal { mean: first, stddev: second },
            _ => Initializer::GlorotUniform,
        }
    }

    fn penalty(self) -> Regularizer {
        match self.kind % 3 {
            0 => L1(self.first.get() as f32),
            1 => L2(self.second.get() as f32),
            _ => L1L2 { l1: self.first.get() as f32, l2: self.second.get() as f32 },
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Conv {
    filters: Size,
    kernel: Sizes,
    strides: Option<Sizes>,
    dilation: Option<Sizes>,
    groups: Option<Size>,
    same: bool,
    bias: bool,
    exact: bool,
    activation: u8,
    drawn: Option<Drawn>,
    penalty: Option<Drawn>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Pool {
    size: Sizes,
    strides: Option<Sizes>,
    same: bool,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Varied {
    first: (Real, Real),
    second: (Real, Real),
    mode: u8,
    nearest: bool,
    fill: Option<Real>,
}

impl Varied {
    fn mode(self) -> FillMode {
        [FillMode::Constant, FillMode::Nearest, FillMode::Reflect, FillMode::Wrap]
            [usize::from(self.mode % 4)]
    }

    fn bounds(self) -> [(f64, f64); 2] {
        [self.first, self.second].map(|(lower, upper)| (lower.get(), upper.get()))
    }

    fn fill(self) -> f64 {
        self.fill.map_or(0.0, Real::get)
    }
}

#[derive(Arbitrary, Clone, Debug)]
enum Kind {
    Activation(u8),
    Add,
    Average,
    AveragePooling2D(Pool),
    BatchNormalization { momentum: Real, epsilon: Real },
    Concatenate,
    Conv2D(Conv),
    Dense(Conv),
    DepthwiseConv2D(Conv),
    Dropout(Real),
    Flatten,
    GlobalAveragePooling2D(bool),
    GlobalMaxPool2D(bool),
    LeakyReLU(Real),
    LocalResponseNormalization { n: Size, k: Real, alpha: Real, beta: Real },
    MaxPool2D(Pool),
    Multiply,
    RandomErasing(Varied),
    RandomFlip(u8),
    RandomRotation(Varied),
    RandomTranslation(Varied),
    ReLU { most: Option<Real>, slope: Real, threshold: Real },
    Rescaling { scale: Real, offset: Real },
    Reshape(Vec<Size>, Option<u8>),
    Resizing { to: Sizes, nearest: bool },
    SeparableConv2D(Conv),
    ZeroPadding2D { vertical: Sizes, horizontal: Sizes },
}

fn padding(same: bool) -> Padding {
    if same { Same } else { Valid }
}

fn interpolation(nearest: bool) -> Interpolation {
    if nearest { Interpolation::Nearest } else { Interpolation::Bilinear }
}

fn activation(number: u8) -> Activation {
    let all =
        [Linear, Relu, Softmax, Tanh, Sigmoid, LeakyRelu, Relu6, Elu, Gelu, GeluApproximate, Silu];
    all[usize::from(number) % all.len()]
}

/// Calls those setters for which there is a value.
macro_rules! set {
    ($layer:ident, $($setter:ident: $value:expr),* $(,)?) => {
        $(if let Some(value) = $value { $layer = $layer.$setter(value.get()); })*
    };
}

impl Kind {
    fn layer(&self) -> Box<dyn Layer> {
        match self.clone() {
            Self::Activation(number) => Box::new(activation(number)),
            Self::Add => Box::new(Add::new()),
            Self::Average => Box::new(Average::new()),
            Self::AveragePooling2D(Pool { size, strides, same }) => {
                let pool = AveragePooling2D::new(size.get()).padding(padding(same));
                Box::new(match strides {
                    Some(strides) => pool.strides(strides.get()),
                    None => pool,
                })
            }
            Self::BatchNormalization { momentum, epsilon } => {
                Box::new(BatchNormalization::new().momentum(momentum.get()).epsilon(epsilon.get()))
            }
            Self::Concatenate => Box::new(Concatenate::new()),
            Self::Conv2D(conv) => {
                let mut layer = Conv2D::new(conv.filters.get(), conv.kernel.get())
                    .padding(padding(conv.same))
                    .use_bias(conv.bias)
                    .exact(conv.exact)
                    .activation(activation(conv.activation));
                set!(layer, strides: conv.strides, dilation_rate: conv.dilation, groups: conv.groups);
                if let Some(drawn) = conv.drawn {
                    layer = layer.kernel_initializer(drawn.get()).bias_initializer(drawn.get());
                }
                if let Some(penalty) = conv.penalty {
                    layer = layer.kernel_regularizer(penalty.penalty());
                }
                Box::new(layer)
            }
            Self::Dense(conv) => {
                let mut layer = Dense::new(conv.filters.get())
                    .use_bias(conv.bias)
                    .activation(activation(conv.activation));
                set!(layer, kernel_initializer: conv.drawn);
                if let Some(penalty) = conv.penalty {
                    layer = layer.bias_regularizer(penalty.penalty());
                }
                Box::new(layer)
            }
            Self::DepthwiseConv2D(conv) => {
                let mut layer = DepthwiseConv2D::new(conv.kernel.get())
                    .padding(padding(conv.same))
                    .use_bias(conv.bias)
                    .activation(activation(conv.activation));
                set!(
                    layer,
                    strides: conv.strides,
                    dilation_rate: conv.dilation,
                    depth_multiplier: conv.groups,
                    depthwise_initializer: conv.drawn,
                );
                Box::new(layer)
            }
            Self::Dropout(rate) => Box::new(Dropout::new(rate.get())),
            Self::Flatten => Box::new(Flatten::new()),
            Self::GlobalAveragePooling2D(keep) => {
                Box::new(GlobalAveragePooling2D::new().keepdims(keep))
            }
            Self::GlobalMaxPool2D(keep) => Box::new(GlobalMaxPool2D::new().keepdims(keep)),
            Self::LeakyReLU(slope) => Box::new(LeakyReLU::new().negative_slope(slope.get())),
            Self::LocalResponseNormalization { n, k, alpha, beta } => Box::new(
                LocalResponseNormalization::new()
                    .n(n.get())
                    .k(k.get())
                    .alpha(alpha.get())
                    .beta(beta.get()),
            ),
            Self::MaxPool2D(Pool { size, strides, same }) => {
                let pool = MaxPool2D::new(size.get()).padding(padding(same));
                Box::new(match strides {
                    Some(strides) => pool.strides(strides.get()),
                    None => pool,
                })
            }
            Self::Multiply => Box::new(Multiply::new()),
            Self::RandomErasing(varied) => {
                let [factor, scale] = varied.bounds();
                let mut layer = RandomErasing::new().factor(factor).scale(scale);
                if varied.nearest {
                    layer = layer.value_range(scale);
                }
                if let Some(fill) = varied.fill {
                    layer = layer.fill_value(fill.get());
                }
                Box::new(layer)
            }
            Self::RandomFlip(mode) => {
                let modes =
                    [FlipMode::Horizontal, FlipMode::Vertical, FlipMode::HorizontalAndVertical];
                Box::new(RandomFlip::new().mode(modes[usize::from(mode % 3)]))
            }
            Self::RandomRotation(varied) => Box::new(
                RandomRotation::new(varied.bounds()[0])
                    .fill_mode(varied.mode())
                    .interpolation(interpolation(varied.nearest))
                    .fill_value(varied.fill()),
            ),
            Self::RandomTranslation(varied) => {
                let [height, width] = varied.bounds();
                Box::new(
                    RandomTranslation::new(height, width)
                        .fill_mode(varied.mode())
                        .interpolation(interpolation(varied.nearest))
                        .fill_value(varied.fill()),
                )
            }
            Self::ReLU { most, slope, threshold } => {
                let layer = ReLU::new().negative_slope(slope.get()).threshold(threshold.get());
                Box::new(match most {
                    Some(most) => layer.max_value(most.get()),
                    None => layer,
                })
            }
            Self::Rescaling { scale, offset } => {
                Box::new(Rescaling::new(scale.get()).offset(offset.get()))
            }
            Self::Reshape(sizes, inferred) => {
                let sizes = sizes.iter().take(40).map(|size| size.get() as isize);
                let mut sizes: Vec<isize> = sizes.collect();
                if let Some(place) = inferred {
                    sizes.insert(usize::from(place) % (sizes.len() + 1), -1);
                }
                Box::new(Reshape::new(sizes))
            }
            Self::Resizing { to: Sizes(height, width), nearest } => Box::new(
                Resizing::new(height.get(), width.get()).interpolation(interpolation(nearest)),
            ),
            Self::SeparableConv2D(conv) => {
                let mut layer = SeparableConv2D::new(conv.filters.get(), conv.kernel.get())
                    .padding(padding(conv.same))
                    .use_bias(conv.bias)
                    .activation(activation(conv.activation));
                set!(
                    layer,
                    strides: conv.strides,
                    dilation_rate: conv.dilation,
                    depth_multiplier: conv.groups,
                    pointwise_initializer: conv.drawn,
                );
                Box::new(layer)
            }
            Self::ZeroPadding2D {
                vertical: Sizes(above, below),
                horizontal: Sizes(left, right),
            } => Box::new(ZeroPadding2D::new((
                (above.get(), below.get()),
                (left.get(), right.get()),
            ))),
        }
    }
}

/// A layer and which nodes before it are its inputs: the last one, and others so many before it.
#[derive(Arbitrary, Debug)]
struct Applied {
    kind: Kind,
    back: Option<u8>,
    also: Option<u8>,
    frozen: bool,
}

#[derive(Arbitrary, Debug)]
enum Start {
    Image(Size, Size, Size),
    Vector(Size),
    Any(Vec<Size>),
}

#[derive(Arbitrary, Debug)]
struct Case {
    start: Start,
    second: Option<Start>,
    layers: Vec<Applied>,
    output: Option<u8>,
    n: u8,
    adam: bool,
    clip: Option<Real>,
    rate: Real,
}

impl Start {
    fn input(&self) -> Input {
        let sizes: Vec<usize> = match self {
            Self::Image(height, width, channels) => {
                [height, width, channels].map(|size| size.get()).to_vec()
            }
            Self::Vector(size) => vec![size.get()],
            Self::Any(sizes) => sizes.iter().take(40).map(|size| size.get()).collect(),
        };
        Input::new(sizes)
    }
}

fuzz_target!(|case: Case| {
    let inputs: Vec<Input> =
        [Some(&case.start), case.second.as_ref()].into_iter().flatten().map(Start::input).collect();
    let mut sizes: Vec<usize> = inputs.iter().map(|input| input.shape().size()).collect();
    let mut weight_floats = 0_usize;
    let mut nodes: Vec<Node> = inputs.iter().map(Node::from).collect();
    for Applied { kind, back, also, frozen } in case.layers.iter().take(12) {
        let before = |back: u8| nodes[nodes.len() - 1 - usize::from(back) % nodes.len()].clone();
        let from: Vec<Node> =
            [Some(before(back.unwrap_or(0))), also.map(before)].into_iter().flatten().collect();
        let shapes: Vec<convnet::Shape> = from.iter().map(|node| node.shape().clone()).collect();
        let spec = convnet::layers::LayerSpec::from(kind.layer()).trainable(!frozen);
        let node = match from.apply(spec) {
            Ok(node) => node,
            Err(error) => {
                assert!(error.to_string().contains("cannot take"), "{error}");
                continue;
            }
        };
        let wanted = kind.layer().weights(&shapes);
        let wanted = wanted.iter().map(|weight| weight.shape.size()).fold(0, usize::saturating_add);
        let size = node.shape().size();
        let all = sizes.iter().copied().chain([size]);
        if !is_small(all, weight_floats.saturating_add(wanted)) {
            continue;
        }
        sizes.push(size);
        weight_floats += wanted;
        nodes.push(node);
    }
    let last = nodes[nodes.len() - 1].clone();
    let outputs = match case.output {
        Some(back) => vec![last, nodes[nodes.len() - 1 - usize::from(back) % nodes.len()].clone()],
        None => vec![last],
    };
    if !is_small(sizes, weight_floats) {
        return;
    }
    let build = || Model::new(&inputs, &outputs);
    // An input that leads nowhere, or an output twice.
    let Ok(model) = build() else { return };
    run(&case, &model, build, &outputs);
});

fn run(case: &Case, model: &Model, build: impl Fn() -> convnet::Result<Model>, nodes: &[Node]) {
    let n = usize::from(case.n % 40) + 1;
    let x = samples(model, n);
    let predicted = |model: &Model| model.predict_all(views(&x)).expect("samples of its shapes");
    let outputs = predicted(model);
    for (output, node) in outputs.iter().zip(nodes) {
        assert_eq!(output.shape(), [&[n], &**node.shape()].concat());
    }
    let before = bits(&outputs);
    assert_eq!(bits(&predicted(model)), before, "predicted again");
    let loaded = Model::from_bytes(&saved(model)).expect("it was just saved");
    assert_eq!(bits(&predicted(&loaded)), before, "predicted by the saved model");

    let y: Vec<ArrayD<f32>> =
        outputs.iter().map(|output| ArrayD::from_elem(IxDyn(output.shape()), 0.25)).collect();
    let trained = || {
        let model = build().expect("it was built before");
        let rate = case.rate.get();
        let mut model = match (case.adam, case.clip) {
            (true, None) => model.compile(Adam::new(rate), MeanSquaredError, ()),
            (true, Some(clip)) => {
                model.compile(Adam::new(rate).clipnorm(clip.get()), MeanSquaredError, ())
            }
            (false, None) => model.compile(SGD::new(rate), MeanSquaredError, ()),
            (false, Some(clip)) => {
                model.compile(SGD::new(rate).clipvalue(clip.get()), MeanSquaredError, ())
            }
        };
        let start = weights(&model);
        let losses: Vec<_> = (0..2)
            .map(|seed| model.train_on_batch(views(&x), views(&y), seed).map(f64::to_bits))
            .collect();
        if losses.iter().all(|loss| loss.is_err()) {
            assert_eq!(weights(&model), start, "the weights are as before");
        }
        predicted(&model);
        (losses, weights(&model))
    };
    assert_eq!(trained(), trained(), "trained again");
}
