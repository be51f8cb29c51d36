//! What users write panics: the panic comes out, and the model can be used on.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use convnet::callbacks::{Logs, Training};
use convnet::layers::{Backward, Forward, Infer, Layout, WeightSpec};
use convnet::losses::{Loss, LossPass};
use convnet::metrics::Tally;
use convnet::optimizers::{Common, Step};
use convnet::prelude::*;
use convnet::{Result, Shape};
use ndarray::Array4;

use crate::{After, bits, compiled, data, file, network, silent};

/// Panics when it has been asked so many times.
#[derive(Clone, Debug)]
struct Fuse(Arc<AtomicUsize>);

impl Fuse {
    fn new(times: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(times)))
    }

    fn burn(&self) {
        self.burn_after(|| ());
    }

    fn burn_after(&self, ruin: impl FnOnce()) {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left == Ok(1) {
            ruin();
            panic!("the fuse has burnt");
        }
    }
}

/// The same in a layer that first spoils all it can write to, in one of three places. It has a weight and, if
/// it takes the batch whole, a state.
#[derive(Debug)]
struct Fragile {
    whole: bool,
    infer: Fuse,
    forward: Fuse,
    backward: Fuse,
}

impl Layer for Fragile {
    fn class_name(&self) -> &'static str {
        "Fragile"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0].clone())
    }

    fn weights(&self, _inputs: &[Shape]) -> Vec<WeightSpec> {
        let mut weights = vec![WeightSpec::trainable("scale", [1], Initializer::Ones)];
        if self.whole {
            weights.push(WeightSpec::frozen("moving_count", [1], Initializer::Zeros));
        }
        weights
    }

    fn is_per_sample(&self) -> bool {
        !self.whole
    }

    fn saved_len(&self, inputs: &[Shape], n: usize, _layout: Layout) -> usize {
        n * inputs[0].size()
    }

    fn scratch_len(&self, inputs: &[Shape], n: usize, _layout: Layout) -> usize {
        n * inputs[0].size()
    }

    fn infer(&self, pass: Infer<'_>) {
        let Infer { x, w, state, y, .. } = pass;
        let offset = state.get(0).first().map_or(0.0, |count| count / 256.0);
        y.iter_mut().zip(x.get(0)).for_each(|(y, x)| *y = x * w.get(0)[0] + offset);
        self.infer.burn_after(|| y.fill(f32::NAN));
    }

    fn forward(&self, mut pass: Forward<'_>) {
        pass.saved.copy_from_slice(pass.x.get(0));
        pass.y.iter_mut().zip(&*pass.saved).for_each(|(y, x)| *y = x * pass.w.get(0)[0]);
        pass.state.get(0).iter_mut().for_each(|count| *count += 1.0);
        self.forward.burn_after(|| {
            pass.saved.fill(f32::NAN);
            pass.y.fill(f32::NAN);
            pass.state.get(0).fill(f32::NAN);
        });
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let products = pass.dy.iter().zip(&*pass.saved).map(|(dy, x)| dy * x);
        pass.dw.get(0)[0] = products.sum();
        pass.dy.iter_mut().for_each(|dy| *dy *= pass.w.get(0)[0]);
        let mut dx = pass.dx.get(0).expect("a layer before it learns");
        dx.copy_from_slice(pass.dy);
        self.backward.burn_after(|| {
            let dw = pass.dw.get(0);
            for floats in [&mut dx, pass.dy, pass.saved, pass.scratch, dw] {
                floats.fill(f32::NAN);
            }
        });
    }
}

#[derive(Debug)]
struct FragileLoss(Fuse);

impl Loss for FragileLoss {
    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        SparseCategoricalCrossentropy.target_shape(output)
    }

    fn check_target(&self, output: &Shape, target: &[f32]) -> Result<(), String> {
        SparseCategoricalCrossentropy.check_target(output, target)
    }

    fn pairs_with(&self) -> Option<Activation> {
        SparseCategoricalCrossentropy.pairs_with()
    }

    fn run(&self, pass: LossPass<'_>) -> f64 {
        self.0.burn();
        SparseCategoricalCrossentropy.run(pass)
    }
}

#[derive(Debug)]
struct FragileMetric(Fuse);

impl Metric for FragileMetric {
    fn name(&self) -> String {
        "fragile".to_string()
    }

    fn tally(&self, _output: &Shape) -> Box<dyn Tally> {
        Box::new(FragileTally(self.0.clone()))
    }
}

struct FragileTally(Fuse);

impl Tally for FragileTally {
    fn add(&mut self, _outputs: &[f32], _targets: &[f32], _classes: usize) {
        self.0.burn();
    }

    fn result(&self, _number: usize) -> f64 {
        0.5
    }
}

struct FragileSamples(Array4<f32>, Fuse);

impl Samples for FragileSamples {
    fn len(&self) -> usize {
        self.0.len_of(ndarray::Axis(0))
    }

    fn shape(&self) -> Shape {
        [8, 8, 1].into()
    }

    fn load(&self, index: usize, _seed: Option<u64>, sample: &mut [f32]) -> Result<()> {
        self.1.burn();
        let image = self.0.index_axis(ndarray::Axis(0), index);
        sample.iter_mut().zip(image).for_each(|(to, &from)| *to = from);
        Ok(())
    }
}

/// Panics at the moment of this number.
struct FragileCallback(usize);

impl FragileCallback {
    fn moment(&self, number: usize) -> Result<()> {
        assert!(self.0 != number, "the fuse has burnt");
        Ok(())
    }
}

impl Callback for FragileCallback {
    fn on_train_begin(&mut self, _: &mut Training<'_>) -> Result<()> {
        self.moment(0)
    }

    fn on_epoch_begin(&mut self, _: usize, _: &mut Training<'_>) -> Result<()> {
        self.moment(1)
    }

    fn on_train_batch_begin(&mut self, _: usize, _: &mut Training<'_>) -> Result<()> {
        self.moment(2)
    }

    fn on_train_batch_end(&mut self, _: usize, _: &Logs, _: &mut Training<'_>) -> Result<()> {
        self.moment(3)
    }

    fn on_epoch_end(&mut self, _: usize, _: &mut Logs, _: &mut Training<'_>) -> Result<()> {
        self.moment(4)
    }

    fn on_train_end(&mut self, _: &mut Training<'_>) -> Result<()> {
        self.moment(5)
    }
}

/// Demands that the panic of a fuse comes out.
fn burns<T>(f: impl FnOnce() -> Result<T>) {
    let panicked = catch_unwind(AssertUnwindSafe(f)).err().expect("it panics");
    let message = panicked
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panicked.downcast_ref::<String>().cloned());
    assert_eq!(message.as_deref(), Some("the fuse has burnt"));
}

/// The last of them fill no block of 16.
const SAMPLES: usize = 165;

/// Three batches an epoch, of up to four parts if the network takes parts.
fn fit<'a>() -> Fit<'a> {
    silent().batch_size(64).epochs(2)
}

/// How many parts a batch has.
fn parts(normal: bool) -> usize {
    if normal { 1 } else { 4 }
}

fn fragile(normal: bool, [infer, forward, backward]: [usize; 3]) -> Model {
    let [infer, forward, backward] = [infer, forward, backward].map(Fuse::new);
    network(normal, |x| x.apply(Fragile { whole: normal, infer, forward, backward }))
}

fn plain(model: Model) -> CompiledModel {
    model.compile(Adam::new(3e-3), SparseCategoricalCrossentropy, [Accuracy])
}

/// Trains to the panic, and then as a model does that was stopped so many batches before it.
fn survives(mut model: CompiledModel, mut other: CompiledModel, batches: usize) {
    let (x, y) = data(SAMPLES);
    burns(|| model.fit(&x, &y, fit()));
    usable(model, &mut other, batches);
}

fn usable(mut model: CompiledModel, other: &mut CompiledModel, batches: usize) {
    let (x, y) = data(SAMPLES);
    if batches > 0 {
        other.fit(&x, &y, fit().callback(After(batches))).unwrap();
    }
    assert_eq!(bits(&model), bits(other), "the weights after the last step");
    for model in [&mut model, other] {
        model.fit(&x, &y, fit()).unwrap();
    }
    assert_eq!(bits(&model), bits(other), "trained on");
    assert_eq!(model.predict(&x).unwrap(), other.predict(&x).unwrap());
    assert_eq!(model.evaluate(&x, &y).unwrap()["loss"], other.evaluate(&x, &y).unwrap()["loss"]);
}

#[test]
fn a_layer_in_its_forward_or_backward_pass() {
    for normal in [false, true] {
        let other = || plain(fragile(normal, [0; 3]));
        let once_more = parts(normal) + 1;
        survives(plain(fragile(normal, [0, once_more, 0])), other(), 1);
        survives(plain(fragile(normal, [0, 1, 0])), other(), 0);
        survives(plain(fragile(normal, [0, 0, once_more])), other(), 1);
        survives(plain(fragile(normal, [0, 0, 1])), other(), 0);
    }
}

#[test]
fn a_layer_that_predicts() {
    let (x, y) = data(SAMPLES);
    for normal in [false, true] {
        let expected = plain(fragile(normal, [0; 3])).predict(&x).unwrap();
        for times in 1..=5 {
            let model = plain(fragile(normal, [times, 0, 0]));
            burns(|| model.predict(&x));
            assert_eq!(model.predict(&x).unwrap(), expected);
            let mut model = plain(fragile(normal, [times, 0, 0]));
            burns(|| model.evaluate(&x, &y));
            assert_eq!(model.predict(&x).unwrap(), expected);
            model.evaluate(&x, &y).unwrap();
        }
        // In arrays that have been used before.
        let model = plain(fragile(normal, [SAMPLES.div_ceil(32) + 2, 0, 0]));
        assert_eq!(model.predict(&x).unwrap(), expected);
        burns(|| model.predict(&x));
        assert_eq!(model.predict(&x).unwrap(), expected);
        // In the validation of the first epoch, after three batches.
        let mut model = plain(fragile(normal, [1, 0, 0]));
        burns(|| model.fit(&x, &y, fit().validation_data(&x, &y)));
        usable(model, &mut plain(fragile(normal, [0; 3])), 3);
    }
}

#[test]
fn a_loss() {
    for normal in [false, true] {
        let with = |times| {
            network(normal, Ok).compile(Adam::new(3e-3), FragileLoss(Fuse::new(times)), [Accuracy])
        };
        survives(with(parts(normal) + 1), with(0), 1);
        survives(with(1), with(0), 0);
    }
}

#[test]
fn a_metric() {
    for normal in [false, true] {
        let with = |times| {
            network(normal, Ok).compile(
                Adam::new(3e-3),
                SparseCategoricalCrossentropy,
                [FragileMetric(Fuse::new(times))],
            )
        };
        survives(with(2 * parts(normal) + 1), with(0), 2);
    }
}

/// Moves every weight by the learning rate, but before its panic only half of them.
#[derive(Debug)]
struct FragileOptimizer(Common, Fuse);

impl Optimizer for FragileOptimizer {
    fn name(&self) -> &'static str {
        "fragile"
    }

    fn common(&self) -> &Common {
        &self.0
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.0
    }

    fn slots(&self) -> usize {
        0
    }

    fn check(&self) -> std::result::Result<(), String> {
        Ok(())
    }

    fn step(&self, step: Step, w: &mut [f32], g: &[f32], _: &mut [&mut [f32]]) {
        let far = step.learning_rate as f32;
        let mut half = |part: Range<usize>| {
            w[part.clone()].iter_mut().zip(&g[part]).for_each(|(w, g)| *w -= far * g.signum());
        };
        half(0..g.len() / 2);
        self.1.burn();
        half(g.len() / 2..g.len());
    }
}

#[test]
fn an_optimizer_leaves_the_weights_as_far_as_it_came() {
    let (x, y) = data(SAMPLES);
    for normal in [false, true] {
        let with = |times| {
            let optimizer = FragileOptimizer(Common::new(1e-3), Fuse::new(times));
            network(normal, Ok).compile(optimizer, SparseCategoricalCrossentropy, [Accuracy])
        };
        let [mut model, mut other] = [with(2), with(0)];
        burns(|| model.fit(&x, &y, fit()));
        other.fit(&x, &y, fit().callback(After(1))).unwrap();
        assert_ne!(bits(&model), bits(&other), "a step and a half");

        let (_folder, path) = file("weights", &[]);
        model.save_weights(&path).unwrap();
        other.load_weights(&path).unwrap();
        for model in [&mut model, &mut other] {
            model.fit(&x, &y, fit()).unwrap();
        }
        assert_eq!(bits(&model), bits(&other), "trained on");
    }
}

#[test]
fn a_callback_at_any_moment() {
    let (x, y) = data(SAMPLES);
    for (moment, batches) in [(0, 0), (1, 0), (2, 0), (3, 1), (4, 3), (5, 6)] {
        let mut model = compiled(true);
        burns(|| model.fit(&x, &y, fit().callback(FragileCallback(moment))));
        usable(model, &mut compiled(true), batches);
    }
}

#[test]
fn samples_that_are_loaded() {
    let (x, y) = data(SAMPLES);
    for times in [1, 65, 150] {
        let mut model = compiled(true);
        let samples = FragileSamples(x.clone(), Fuse::new(times));
        burns(|| model.fit(&samples, &y, fit()));
        // The batch that was trained on meanwhile is whole.
        usable(model, &mut compiled(true), (times - 1) / 64);
    }
    let model = compiled(true);
    let samples = FragileSamples(x.clone(), Fuse::new(40));
    burns(|| model.predict(&samples));
    assert_eq!(model.predict(&samples).unwrap(), model.predict(&x).unwrap());
}

#[test]
fn gradients_of_a_step_that_was_not_ended_are_forgotten() {
    let (x, y) = data(SAMPLES);
    let accumulating = || fit().gradient_accumulation_steps(3);
    let mut model = plain(fragile(true, [0, 2, 0]));
    burns(|| model.fit(&x, &y, accumulating()));
    let mut other = plain(fragile(true, [0; 3]));
    // The moving statistics are those after one batch, the weights as they were.
    let trained = |model: &Model| {
        let weights = model.weights();
        let moved = weights.iter().filter(|(name, _)| !name.contains("moving"));
        moved.flat_map(|(_, weight)| weight.iter().copied().collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!(trained(&model), trained(&other));
    for model in [&mut model, &mut other] {
        model.fit(&x, &y, accumulating()).unwrap();
    }
    assert_eq!(trained(&model), trained(&other));
}
