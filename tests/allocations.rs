//! Memory is flat: the steady state of training allocates nothing.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use convnet::prelude::*;
use ndarray::{Array1, Array4};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Every layer, with branches.
fn network() -> CompiledModel {
    let image = Input::new([12, 12, 1]);
    let left = image.apply(Conv2D::new(8, 3).padding(Same).activation(Relu)).unwrap();
    let right = image.apply(Conv2D::new(8, 1).activation(Tanh)).unwrap();
    let sum = [&left, &right].apply(Add::new()).unwrap();
    let both = [&sum, &left].apply(Concatenate::new()).unwrap();
    let class = both
        .apply(BatchNormalization::new())
        .and_then(|x| x.apply(RandomFlip::new()))
        .and_then(|x| x.apply(RandomRotation::new(0.05)))
        .and_then(|x| x.apply(RandomErasing::new()))
        .and_then(|x| x.apply(Conv2D::new(8, 3).groups(2).activation(Gelu).trainable(false)))
        .and_then(|x| x.apply(LocalResponseNormalization::new()))
        .and_then(|x| x.apply(DepthwiseConv2D::new(3).depth_multiplier(2).padding(Same)))
        .and_then(|x| x.apply(SeparableConv2D::new(16, 3).dilation_rate(2).padding(Same)))
        .and_then(|x| x.apply(Resizing::new(9, 9)))
        .and_then(|x| x.apply(ZeroPadding2D::new(1)))
        .and_then(|x| x.apply(LeakyReLU::new()))
        .and_then(|x| x.apply(MaxPool2D::new(3).strides(2)))
        .and_then(|x| x.apply(AveragePooling2D::new(2).strides(1)))
        .and_then(|x| x.apply(Dropout::new(0.25)))
        .and_then(|x| x.apply(Flatten::new()))
        .and_then(|x| x.apply(Dense::new(64).activation(Relu)))
        .and_then(|x| x.apply(Dense::new(10).activation(Softmax)))
        .unwrap();
    let model = Model::new(&image, &class).unwrap();
    let adam = AdamW::new(CosineDecay::new(1e-3, 1000)).clipnorm(1.0);
    model.compile(adam, SparseCategoricalCrossentropy, [Accuracy])
}

/// How often an epoch of so many batches of 32, validated with as many, allocates.
fn allocations(model: &mut CompiledModel, batches: usize) -> usize {
    let x = Array4::<f32>::from_shape_fn((32 * batches, 12, 12, 1), |(n, y, x, _)| {
        ((n * 7 + y * 3 + x) % 11) as f32 / 11.0
    });
    let y = Array1::from_shape_fn(32 * batches, |n| (n % 10) as u8).mapv(f32::from);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let weights = Array1::<f32>::ones(32 * batches);
    let fit = Fit::new().verbose(Verbose::Silent).validation_data(&x, &y);
    let fit = fit.class_weight([(3, 2.0)]).gradient_accumulation_steps(2);
    model.fit(&x, Weighted::new(&y, &weights), fit).unwrap();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

#[test]
fn more_batches_allocate_no_more() {
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (few, many) = pool.install(|| {
            let mut model = network();
            // The first epochs plan the arrays and give every thread its scratch.
            allocations(&mut model, 20);
            (allocations(&mut model, 10), allocations(&mut model, 110))
        });
        println!("{threads} threads: {few} and {many}");
        // A thread may meet the largest piece of work, and grow its scratch, late; and the deques of
        // jobs may grow. One allocation in a hundred batches would show as 100.
        let slack = if threads == 1 { 0 } else { 20 };
        assert!(many <= few + slack, "{threads} threads: {few} for 10 batches, {many} for 110");
    }
}
