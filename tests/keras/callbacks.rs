use convnet::prelude::*;
use serde_json::Value;

use super::fixtures::{fixture, float, list, map, text};

fn values(case: &Value) -> Vec<f64> {
    list(&case["values"]).iter().map(|value| value.as_f64().unwrap_or(f64::NAN)).collect()
}

fn mode(value: &Value) -> Mode {
    match text(value) {
        "max" => Mode::Max,
        "min" => Mode::Min,
        mode => panic!("no mode of ours is {mode}"),
    }
}

#[test]
fn what_early_stopping_decides() {
    let cases = fixture("callbacks");
    let cases = list(&cases).iter().filter(|case| case["name"] == "EarlyStopping");
    let mut count = 0;
    for case in cases {
        let mut stopping = EarlyStopping::new(Monitor::ValLoss);
        for (name, value) in map(&case["config"]) {
            stopping = match name.as_str() {
                "patience" => stopping.patience(float(value) as usize),
                "min_delta" => stopping.min_delta(float(value)),
                "baseline" => stopping.baseline(float(value)),
                "start_from_epoch" => stopping.start_from_epoch(float(value) as usize),
                "mode" => stopping.mode(mode(value)),
                "restore_best_weights" => stopping.restore_best_weights(true),
                name => panic!("our EarlyStopping has no {name}"),
            };
        }
        let (mut kept, mut epochs) = (None, 0);
        for (epoch, value) in values(case).into_iter().enumerate() {
            let decision = stopping.update(epoch, value);
            epochs = epoch + 1;
            if decision.keep {
                kept = Some(epoch);
            }
            if decision.stop {
                break;
            }
        }
        assert_eq!(epochs, float(&case["epochs"]) as usize, "{case}");
        let stopped = Some(float(&case["stopped_epoch"]) as usize).filter(|&epoch| epoch > 0);
        assert_eq!(stopping.stopped_epoch(), stopped, "{case}");
        // The file has the epoch whose weights are there in the end, unless it is the last one.
        let restored = case["restored"].as_u64().map(|epoch| epoch as usize);
        assert_eq!(kept.filter(|&epoch| epoch + 1 < epochs), restored, "{case}");
        count += 1;
    }
    assert_eq!(count, 72);
}

#[test]
fn what_the_learning_rate_is_reduced_to() {
    let cases = fixture("callbacks");
    let cases = list(&cases).iter().filter(|case| case["name"] == "ReduceLROnPlateau");
    let mut count = 0;
    for case in cases {
        let mut plateau = ReduceLROnPlateau::new(Monitor::ValLoss);
        for (name, value) in map(&case["config"]) {
            plateau = match name.as_str() {
                "factor" => plateau.factor(float(value)),
                "patience" => plateau.patience(float(value) as usize),
                "min_delta" => plateau.min_delta(float(value)),
                "cooldown" => plateau.cooldown(float(value) as usize),
                "min_lr" => plateau.min_lr(float(value)),
                "mode" => plateau.mode(mode(value)),
                name => panic!("our ReduceLROnPlateau has no {name}"),
            };
        }
        let mut rate = 1.0;
        for (value, expected) in values(case).into_iter().zip(list(&case["rates"])) {
            rate = plateau.update(value, rate).unwrap_or(rate);
            // The numbers in the file are rounded to f32.
            assert!((rate - float(expected)).abs() < 1e-7, "{rate} {case}");
        }
        count += 1;
    }
    assert_eq!(count, 63);
}
