//! A layer of one's own, in one file: a parametric ReLU (He et al. 2015), which learns for every
//! channel by how much negative values are scaled. `cargo run --release --example own_layer`.

use convnet::Shape;
use convnet::layers::{Backward, Config, Infer, WeightSpec, config_of};
use convnet::prelude::*;
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

/// `y = x` where `x > 0`, else `alpha · x`, with one `alpha` for each channel.
///
/// | tensor | shape          | starts as |
/// |--------|----------------|-----------|
/// | input  | `(n, …, c)`    |           |
/// | alpha  | `(c)`          | 0.25      |
/// | output | `(n, …, c)`    |           |
#[derive(Debug, Serialize, Deserialize)]
struct PRelu {}

impl Layer for PRelu {
    fn class_name(&self) -> &'static str {
        "PReLU"
    }

    /// For `save`; a layer that is never saved needs neither this nor serde.
    fn config(&self) -> Result<Config, String> {
        config_of(self)
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [input] if !input.is_empty() => Ok(input.clone()),
            _ => Err("it wants one input with channels".to_string()),
        }
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        let channels = inputs[0][inputs[0].len() - 1];
        vec![WeightSpec::trainable("alpha", channels, Initializer::Constant(0.25))]
    }

    fn infer(&self, pass: Infer<'_>) {
        let alpha = pass.w.get(0);
        let channels = alpha.iter().cycle();
        for ((y, &x), &alpha) in pass.y.iter_mut().zip(pass.x.get(0)).zip(channels) {
            *y = if x > 0.0 { x } else { alpha * x };
        }
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let (x, alpha) = (pass.x.get(0), pass.w.get(0));
        let dalpha = pass.dw.get(0);
        dalpha.fill(0.0);
        if pass.trainable {
            for (i, (&x, &dy)) in x.iter().zip(&*pass.dy).enumerate() {
                if x <= 0.0 {
                    dalpha[i % alpha.len()] += x * dy;
                }
            }
        }
        if let Some(dx) = pass.dx.get(0) {
            for (i, (dx, &dy)) in dx.iter_mut().zip(&*pass.dy).enumerate() {
                *dx = if x[i] > 0.0 { dy } else { alpha[i % alpha.len()] * dy };
            }
        }
    }
}

fn main() -> convnet::Result<()> {
    // Points in the plane, and whether they lie inside a ring.
    let x = Array2::from_shape_fn((2000, 2), |(i, axis)| {
        let turn = i as f32 * 2.399_963;
        let radius = (i as f32 / 2000.0).sqrt() * 2.0;
        if axis == 0 { radius * turn.cos() } else { radius * turn.sin() }
    });
    let y: Array1<u8> = x.outer_iter().map(|p| u8::from(p.dot(&p) < 2.0)).collect();

    let point = Input::new(2);
    let class = point
        .apply(Dense::new(16))?
        .apply(PRelu {})?
        .apply(Dense::new(16))?
        .apply(PRelu {}.name("second_prelu"))?
        .apply(Dense::new(2).activation(Softmax))?;
    let mut model = Model::new(&point, &class)?.compile(
        Adam::new(0.01),
        SparseCategoricalCrossentropy,
        [Accuracy],
    );
    println!("{}", model.summary());

    model.fit(&x, &y, Fit::new().epochs(15))?;
    let score = model.evaluate(&x, &y)?;
    println!("\nAccuracy: {:.3}", score["accuracy"]);
    assert!(score["accuracy"] > 0.95, "the ring is easy to learn");
    for (name, alpha) in model.weights().iter().filter(|(name, _)| name.ends_with("alpha")) {
        println!("{name}: {alpha:.2}");
    }

    let path = std::env::temp_dir().join("own_layer.safetensors");
    model.save(&path)?;
    let loaded = Model::load_with(&path, &CustomObjects::new().layer::<PRelu>("PReLU"))?;
    assert_eq!(loaded.predict(&x)?, model.predict(&x)?);
    println!("Saved to {} and loaded again", path.display());
    Ok(())
}
