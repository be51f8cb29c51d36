//! A step of each optimizer, from any state.

use convnet::optimizers::Step;
use convnet::prelude::*;
use proptest::prelude::*;

use crate::numbers;
use crate::reference::{Number, exact};
use crate::trying::cases;

/// Weights, gradients and two slots of a state, the first of either sign and the second not negative.
struct State {
    w: Vec<f32>,
    g: Vec<f32>,
    slots: [Vec<f32>; 2],
}

impl State {
    fn new(numbers: numbers::Numbers, len: usize) -> Self {
        let floats = |purpose| numbers.floats(purpose, len);
        let squares = floats(4).iter().map(|x| x * x).collect();
        Self { w: floats(1), g: floats(2), slots: [floats(3), squares] }
    }

    fn numbers(&self) -> impl Iterator<Item = [Number; 4]> {
        let [w, g, first, second] =
            [&self.w, &self.g, &self.slots[0], &self.slots[1]].map(|floats| exact(floats));
        w.into_iter().zip(g).zip(first.into_iter().zip(second)).map(|((w, g), (a, b))| [w, g, a, b])
    }
}

fn times(number: Number, factor: f64) -> Number {
    number * Number::exact(factor)
}

/// `a/(√v + epsilon)`, which is off where `a` is, and by half of what `v` is.
fn over_root(a: Number, v: Number, epsilon: f64) -> Number {
    let root = v.value.sqrt() + epsilon;
    let lost = if v.value > 0.0 { v.size / v.value } else { 0.0 };
    Number { value: a.value / root, size: (a.size + a.value.abs() * lost) / root }
}

#[test]
fn steps_of_every_optimizer() {
    let settings = (1e-4..1.0f64, 0.0..0.99f64, 0.9..0.999f64, any::<bool>(), 0..5000u64);
    let strategy = (1..40_000usize, settings, numbers::any());
    cases(48, strategy, |(len, (rate, beta, rho, nesterov, iteration), numbers), judge| {
        let step = Step { iteration, learning_rate: rate };
        let before = State::new(numbers, len);
        let sign = |x: Number, factor: f64| times(x, -factor);

        let (mut w, mut v) = (before.w.clone(), before.slots[0].clone());
        SGD::new(rate).step(step, &mut w, &before.g, &mut []);
        let want: Vec<Number> = before.numbers().map(|[w, g, ..]| w + sign(g, rate)).collect();
        judge.within("SGD", &w, &want, 3.0)?;

        if beta > 0.0 {
            w.copy_from_slice(&before.w);
            let sgd = SGD::new(rate).momentum(beta).nesterov(nesterov);
            sgd.step(step, &mut w, &before.g, &mut [&mut v]);
            let moved = |[w, g, v, _]: [Number; 4]| {
                let v = times(v, beta) + sign(g, rate);
                (v, w + if nesterov { times(v, beta) + sign(g, rate) } else { v })
            };
            let (want_v, want): (Vec<_>, Vec<_>) = before.numbers().map(moved).unzip();
            judge.within("SGD velocity", &v, &want_v, 4.0)?;
            judge.within("SGD with momentum", &w, &want, 6.0)?;
        }

        let (mut w, [mut m, mut v]) = (before.w.clone(), before.slots.clone());
        let adam = Adam::new(rate).beta_1(beta).beta_2(rho);
        adam.step(step, &mut w, &before.g, &mut [&mut m, &mut v]);
        let t = iteration as f64 + 1.0;
        let corrected = rate * (1.0 - rho.powf(t)).sqrt() / (1.0 - beta.powf(t));
        let moved = |[w, g, m, v]: [Number; 4]| {
            let kept = |mean: Number, x: Number, beta: f64| Number {
                value: mean.value + (x.value - mean.value) * (1.0 - beta),
                size: mean.size + (x.size + mean.size) * (1.0 - beta),
            };
            let (m, v) = (kept(m, g, beta), kept(v, g * g, rho));
            (m, v, w + sign(over_root(m, v, 1e-7), corrected))
        };
        let want: Vec<(Number, Number, Number)> = before.numbers().map(moved).collect();
        let part = |f: fn(&(Number, Number, Number)) -> Number| -> Vec<Number> {
            want.iter().map(f).collect()
        };
        judge.within("Adam m", &m, &part(|all| all.0), 4.0)?;
        judge.within("Adam v", &v, &part(|all| all.1), 6.0)?;
        judge.within("Adam", &w, &part(|all| all.2), 12.0)?;

        let (mut w, [_, mut v]) = (before.w.clone(), before.slots.clone());
        RMSprop::new(rate).rho(rho).step(step, &mut w, &before.g, &mut [&mut v]);
        let moved = |[w, g, _, v]: [Number; 4]| {
            let v = times(v, rho) + times(g * g, 1.0 - rho);
            let inside = Number { value: v.value + 1e-7, size: v.size + 1e-7 };
            (v, w + sign(over_root(g, inside, 0.0), rate))
        };
        let (want_v, want): (Vec<_>, Vec<_>) = before.numbers().map(moved).unzip();
        judge.within("RMSprop v", &v, &want_v, 5.0)?;
        judge.within("RMSprop", &w, &want, 12.0)
    });
}

/// By the norm of each weight or of all; the weights start at 0, so that what they move by is exact.
#[test]
fn clipped_gradients() {
    let strategy = (1..20_000usize, 0..1000usize, 0.01..100.0f64, any::<bool>(), numbers::any());
    cases(48, strategy, |(len, part, most, global, numbers), judge| {
        let g = numbers.floats(1, len);
        let split = part * len / 1000;
        let tensors = [0..split, split..len];
        let mut w = vec![0.0; len];
        let sgd = SGD::new(1.0);
        let mut sgd = if global { sgd.global_clipnorm(most) } else { sgd.clipnorm(most) };
        sgd.apply(&tensors, &mut w, &mut g.clone(), &mut []);
        let norm = |of: &[f32]| of.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let mut want = Vec::new();
        for tensor in tensors.clone() {
            let norm = norm(if global { &g } else { &g[tensor.clone()] });
            let factor = if norm > most { most / norm } else { 1.0 };
            want.extend(g[tensor].iter().map(|&x| Number::exact(-f64::from(x) * factor)));
        }
        judge.within("clipped gradients", &w, &want, 12.0)?;

        w.fill(0.0);
        SGD::new(1.0).clipvalue(0.3).apply(&tensors, &mut w, &mut g.clone(), &mut []);
        let want: Vec<f32> = g.iter().map(|g| -g.clamp(-0.3, 0.3)).collect();
        judge.exactly("clipped values", &w, &want)
    });
}
