use convnet::prelude::*;

use super::fixtures::{error, fixture, float, list, map, tensor};

/// A weight with Adam's two slots.
struct Moved {
    w: Vec<f32>,
    m: Vec<f32>,
    v: Vec<f32>,
}

impl Moved {
    fn new(w: &[f32]) -> Self {
        Self { w: w.to_vec(), m: vec![0.0; w.len()], v: vec![0.0; w.len()] }
    }

    fn step(&mut self, adam: &Adam, iteration: u64, g: &[f32]) {
        adam.step(iteration, &mut self.w, g, &mut [&mut self.m, &mut self.v]);
    }
}

#[test]
fn ten_steps() {
    let cases = fixture("adam");
    assert_eq!(list(&cases).len(), 2);
    for case in list(&cases) {
        let adam = map(&case["config"]).iter().fold(Adam::default(), |mut adam, (name, value)| {
            match name.as_str() {
                "learning_rate" => adam.set_learning_rate(float(value)),
                "beta_1" => adam = adam.beta_1(float(value)),
                "beta_2" => adam = adam.beta_2(float(value)),
                "epsilon" => adam = adam.epsilon(float(value)),
                _ => panic!("our Adam has no {name}"),
            }
            adam
        });
        assert_eq!(list(&case["steps"]).len(), 10);
        for (name, start) in map(&case["variables"]) {
            let mut moved = Moved::new(tensor(start).as_slice().unwrap());
            for (iteration, step) in list(&case["steps"]).iter().enumerate() {
                let g = tensor(&step["gradients"][name]);
                moved.step(&adam, iteration as u64, g.as_slice().unwrap());
                let off = error(&moved.w, &tensor(&step["variables"][name]));
                // Ten additions, each rounded to f32.
                assert!(off <= 1e-6, "{name} after step {iteration}: off by {off:e}");
            }
        }
    }
}

/// Three steps from 1, worked out in f64.
#[test]
fn weights_and_moments_of_three_steps() {
    let mut moved = Moved::new(&[1.0]);
    for (iteration, (g, w, m, v)) in [
        (0.1, 0.999, 0.01, 1e-5),
        (0.2, 0.998_034_86, 0.029, 4.999e-5),
        (-0.3, 0.998_101_5, -0.0039, 1.399_4e-4),
    ]
    .into_iter()
    .enumerate()
    {
        moved.step(&Adam::default(), iteration as u64, &[g]);
        assert!(error(&moved.w, &[w]) <= 1.2e-7, "w {:?}", moved.w);
        // (1 − β) is rounded to f32, and m loses a digit where a negative g cancels it.
        assert!(error(&moved.m, &[m]) <= 1e-6, "m {:?}", moved.m);
        assert!(error(&moved.v, &[v]) <= 1e-6, "v {:?}", moved.v);
    }
}

/// Where ε goes shows at tiny gradients: added to the corrected √v it would give −9.09e-4 · g / 1e-8.
#[test]
fn epsilon_is_added_before_the_correction() {
    let mut moved = Moved::new(&[0.0]);
    moved.step(&Adam::default(), 0, &[1e-8]);
    assert!(error(&moved.w, &[-3.152_31e-6]) <= 1e-5, "{:?}", moved.w);
}

/// Keras' own test of one step.
#[test]
fn the_first_step_is_the_learning_rate() {
    let mut moved = Moved::new(&[1.0, 2.0, 3.0, 4.0]);
    moved.step(&Adam::new(0.5), 0, &[1.0, 6.0, 7.0, 2.0]);
    assert!(error(&moved.w, &[0.5, 1.5, 2.5, 3.5]) <= 1e-6, "{:?}", moved.w);
}
