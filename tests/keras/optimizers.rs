use convnet::optimizers::{LearningRateSchedule, Optimizer};
use convnet::prelude::*;
use serde_json::{Map, Value};

use super::fixtures::{error, fixture, float, list, map, tensor, text};

/// An optimizer under construction, of any kind, with Keras' arguments. One that ours does not have is
/// a failure, so that no case is run as another one.
pub(crate) fn optimizer(class: &str, config: &Map<String, Value>) -> Box<dyn Optimizer> {
    macro_rules! configured {
        ($new:expr; $($name:ident: $read:ident),*) => {{
            let mut optimizer = $new;
            for (name, value) in config {
                match name.as_str() {
                    "learning_rate" => optimizer.set_learning_rate(float(value)),
                    "weight_decay" => optimizer = optimizer.weight_decay(float(value)),
                    "clipnorm" => optimizer = optimizer.clipnorm(float(value)),
                    "global_clipnorm" => optimizer = optimizer.global_clipnorm(float(value)),
                    "clipvalue" => optimizer = optimizer.clipvalue(float(value)),
                    $(stringify!($name) => optimizer = optimizer.$name($read(value)),)*
                    // A setting of `fit`.
                    "gradient_accumulation_steps" => {}
                    _ => panic!("our {class} has no {name}"),
                }
            }
            Box::new(optimizer)
        }};
    }
    match class {
        "Adam" => configured!(Adam::default(); beta_1: float, beta_2: float, epsilon: float),
        "AdamW" => configured!(AdamW::default(); beta_1: float, beta_2: float, epsilon: float),
        "SGD" => configured!(SGD::default(); momentum: float, nesterov: flag),
        "RMSprop" => configured!(
            RMSprop::default(); rho: float, momentum: float, epsilon: float, centered: flag
        ),
        _ => panic!("no optimizer of ours is {class}"),
    }
}

fn flag(value: &Value) -> bool {
    value.as_bool().expect("true or false")
}

/// Weights one after the other, with the slots of an optimizer.
struct Moved {
    w: Vec<f32>,
    slots: Vec<Vec<f32>>,
}

impl Moved {
    fn new(w: Vec<f32>, optimizer: &dyn Optimizer) -> Self {
        Self { slots: vec![vec![0.0; w.len()]; optimizer.slots()], w }
    }

    fn step(
        &mut self,
        optimizer: &mut dyn Optimizer,
        tensors: &[std::ops::Range<usize>],
        g: &[f32],
    ) {
        let mut slots: Vec<&mut [f32]> = self.slots.iter_mut().map(|slot| &mut slot[..]).collect();
        optimizer.apply(tensors, &mut self.w, &mut g.to_vec(), &mut slots);
    }
}

/// The tensors of a map, one after the other.
fn joined(tensors: &Value) -> Vec<f32> {
    map(tensors).values().flat_map(|value| tensor(value).into_iter()).collect()
}

#[test]
fn ten_steps() {
    let all = fixture("optimizers");
    let (start, gradients) = (joined(&all["variables"]), list(&all["gradients"]));
    assert_eq!(gradients.len(), 10);
    let mut end = 0;
    let tensors: Vec<_> = map(&all["variables"])
        .values()
        .map(|value| {
            let start = end;
            end += tensor(value).len();
            start..end
        })
        .collect();
    assert_eq!(list(&all["cases"]).len(), 16);
    for case in list(&all["cases"]) {
        let name = text(&case["name"]);
        let mut optimizer = optimizer(text(&case["optimizer"]), map(&case["config"]));
        let mut moved = Moved::new(start.clone(), &*optimizer);
        for (step, (g, expected)) in gradients.iter().zip(list(&case["steps"])).enumerate() {
            moved.step(&mut *optimizer, &tensors, &joined(g));
            for (tensor, place) in map(expected).values().map(tensor).zip(&tensors) {
                let off = error(&moved.w[place.clone()], &tensor);
                // Ten additions, each rounded to f32.
                assert!(off <= 1e-6, "{name} after step {step}: off by {off:e}");
            }
        }
        assert_eq!(optimizer.iterations(), 10);
    }
}

/// Adam's weight and moments in three steps from 1, worked out in f64.
#[test]
fn weights_and_moments_of_three_steps() {
    let mut adam = Adam::default();
    let mut moved = Moved::new(vec![1.0], &adam);
    for (g, w, m, v) in [
        (0.1, 0.999, 0.01, 1e-5),
        (0.2, 0.998_034_86, 0.029, 4.999e-5),
        (-0.3, 0.998_101_5, -0.0039, 1.399_4e-4),
    ] {
        moved.step(&mut adam, &whole(1), &[g]);
        assert!(error(&moved.w, &[w]) <= 1.2e-7, "w {:?}", moved.w);
        // (1 − β) is rounded to f32, and m loses a digit where a negative g cancels it.
        assert!(error(&moved.slots[0], &[m]) <= 1e-6, "m {:?}", moved.slots);
        assert!(error(&moved.slots[1], &[v]) <= 1e-6, "v {:?}", moved.slots);
    }
}

/// One weight tensor of so many numbers.
#[allow(clippy::single_range_in_vec_init)]
fn whole(len: usize) -> [std::ops::Range<usize>; 1] {
    [0..len]
}

/// Where ε goes shows at tiny gradients: added to the corrected √v it would give −9.09e-4 · g / 1e-8.
#[test]
fn epsilon_is_added_before_the_correction() {
    let mut adam = Adam::default();
    let mut moved = Moved::new(vec![0.0], &adam);
    moved.step(&mut adam, &whole(1), &[1e-8]);
    assert!(error(&moved.w, &[-3.152_31e-6]) <= 1e-5, "{:?}", moved.w);
}

/// Keras' own tests of one step.
#[test]
fn one_step_as_keras_tests_it() {
    let cases: [(Box<dyn Optimizer>, [f32; 4]); 4] = [
        (Box::new(Adam::new(0.5)), [0.5, 1.5, 2.5, 3.5]),
        (Box::new(SGD::new(0.5)), [0.5, -1.0, -0.5, 3.0]),
        (Box::new(RMSprop::new(0.5)), [-0.5811, 0.4189, 1.4189, 2.4189]),
        (Box::new(AdamW::new(0.5)), [0.4980, 1.4960, 2.494, 3.492]),
    ];
    for (mut optimizer, expected) in cases {
        let mut moved = Moved::new(vec![1.0, 2.0, 3.0, 4.0], &*optimizer);
        moved.step(&mut *optimizer, &whole(4), &[1.0, 6.0, 7.0, 2.0]);
        assert!(error(&moved.w, &expected) <= 1e-4, "{optimizer:?} {:?}", moved.w);
    }
}

fn schedule(class: &str, config: &Map<String, Value>) -> Box<dyn LearningRateSchedule> {
    let number = |name: &str| config.get(name).map(float);
    let steps = |name: &str| config.get(name).map(float).map(|steps| steps as u64);
    let (initial, decay_steps) = (number("initial_learning_rate"), steps("decay_steps"));
    match class {
        "ExponentialDecay" => {
            let rate = number("decay_rate").unwrap();
            let decay = ExponentialDecay::new(initial.unwrap(), decay_steps.unwrap(), rate);
            Box::new(decay.staircase(config.get("staircase").is_some_and(flag)))
        }
        "PiecewiseConstantDecay" => {
            let numbers = |name: &str| list(&config[name]).iter().map(float);
            let boundaries: Vec<u64> = numbers("boundaries").map(|step| step as u64).collect();
            Box::new(PiecewiseConstantDecay::new(boundaries, numbers("values").collect::<Vec<_>>()))
        }
        "CosineDecay" => {
            let mut decay = CosineDecay::new(initial.unwrap(), decay_steps.unwrap());
            if let Some(alpha) = number("alpha") {
                decay = decay.alpha(alpha);
            }
            if let (Some(target), Some(steps)) = (number("warmup_target"), steps("warmup_steps")) {
                decay = decay.warmup(target, steps);
            }
            Box::new(decay)
        }
        _ => panic!("no schedule of ours is {class}"),
    }
}

#[test]
fn learning_rates() {
    let cases = fixture("schedules");
    assert_eq!(list(&cases).len(), 7);
    for case in list(&cases) {
        let schedule = schedule(text(&case["schedule"]), map(&case["config"]));
        for pair in list(&case["rates"]) {
            let (step, expected) = (float(&pair[0]) as u64, float(&pair[1]));
            let found = schedule.at(step);
            // The numbers in the file are rounded to f32.
            assert!((found - expected).abs() <= 1e-7, "{} at {step}: {found}", text(&case["name"]));
        }
    }
}
