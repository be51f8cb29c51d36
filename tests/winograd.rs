//! Winograd's way of convolving, which rounds differently, trains as well as the exact one.

use convnet::prelude::*;
use ndarray::{Array1, Array4};

/// Images of 12 × 12 pixels with a bright bar, upright, lying or on either diagonal, somewhere in noise.
fn bars(n: usize, mut seed: u32) -> (Array4<f32>, Array1<u8>) {
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as usize
    };
    let mut x = Array4::from_shape_simple_fn((n, 12, 12, 1), || (random() % 64) as f32 / 128.0);
    let y = Array1::from_shape_fn(n, |_| (random() % 4) as u8);
    for (i, &class) in y.iter().enumerate() {
        let (top, left) = (random() % 7, random() % 7);
        for k in 0..6 {
            let (down, right) = [(k, 2), (2, k), (k, k), (k, 5 - k)][class as usize];
            x[[i, top + down, left + right, 0]] += 0.6;
        }
    }
    (x, y)
}

#[test]
fn both_ways_reach_the_same_accuracy() {
    let (x, y) = bars(1600, 1);
    let (test_x, test_y) = bars(800, 2);
    let train = |exact| {
        let image = Input::new([12, 12, 1]);
        let class = image
            .apply(Conv2D::new(32, 3).padding(Same).activation(Relu))
            .and_then(|x| x.apply(Conv2D::new(32, 3).padding(Same).activation(Relu).exact(exact)))
            .and_then(|x| x.apply(Conv2D::new(32, 5).activation(Relu).exact(exact)))
            .and_then(|x| x.apply(MaxPool2D::new(2)))
            .and_then(|x| x.apply(Flatten::new()))
            .and_then(|x| x.apply(Dense::new(4).activation(Softmax)))
            .unwrap();
        let mut model = Model::new(&image, &class).unwrap().compile(
            Adam::new(0.002),
            SparseCategoricalCrossentropy,
            [Accuracy],
        );
        model.fit(&x, &y, Fit::new().epochs(5).verbose(Verbose::Silent)).unwrap();
        let accuracy = model.evaluate(&test_x, &test_y).unwrap()["accuracy"];
        (accuracy, model.predict(&test_x).unwrap())
    };
    let ((winograd, some), (exact, other)) = (train(false), train(true));
    assert_ne!(some, other, "the setting has no effect");
    assert!(exact > 0.9, "{exact}");
    assert!((winograd - exact).abs() < 0.03, "{winograd} {exact}");
}
