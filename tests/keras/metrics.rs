use convnet::Shape;
use convnet::metrics::{Average, Curve, SummationMethod};
use convnet::prelude::*;
use serde_json::{Map, Value};

use super::fixtures::{fixture, float, list, map, tensor, text};

/// The metric with Keras' arguments. One that ours does not have is a failure, so that no case is run
/// as another one.
fn metric(class: &str, config: &Map<String, Value>) -> Box<dyn Metric> {
    macro_rules! configured {
        ($new:expr; $($name:literal => $set:expr),*) => {{
            let mut metric = $new;
            for (name, value) in config {
                metric = match name.as_str() {
                    $($name => $set(metric, value),)*
                    _ => panic!("our {class} has no {name}"),
                };
            }
            Box::new(metric)
        }};
    }
    let count = |value: &Value| float(value) as usize;
    match class {
        "CategoricalAccuracy" if config.is_empty() => Box::new(Accuracy),
        "BinaryAccuracy" if config.is_empty() => Box::new(BinaryAccuracy::new()),
        "MeanSquaredError" if config.is_empty() => Box::new(MeanSquaredError),
        "TopKCategoricalAccuracy" => configured!(
            TopKCategoricalAccuracy::new();
            "k" => |m: TopKCategoricalAccuracy, v| m.k(count(v))
        ),
        "Precision" => configured!(
            Precision::new();
            "thresholds" => |m: Precision, v| m.threshold(float(v) as f32),
            "top_k" => |m: Precision, v| m.top_k(count(v)),
            "class_id" => |m: Precision, v| m.class_id(count(v))
        ),
        "Recall" => configured!(
            Recall::new();
            "thresholds" => |m: Recall, v| m.threshold(float(v) as f32),
            "top_k" => |m: Recall, v| m.top_k(count(v)),
            "class_id" => |m: Recall, v| m.class_id(count(v))
        ),
        "F1Score" => configured!(
            F1Score::new();
            "threshold" => |m: F1Score, v| m.threshold(float(v) as f32),
            "average" => |m: F1Score, v: &Value| match v.as_str() {
                None => m,
                Some("micro") => m.average(Average::Micro),
                Some("macro") => m.average(Average::Macro),
                Some("weighted") => m.average(Average::Weighted),
                Some(average) => panic!("no average of ours is {average}"),
            }
        ),
        "AUC" => configured!(
            AUC::new();
            "num_thresholds" => |m: AUC, v| m.num_thresholds(count(v)),
            "multi_label" => |m: AUC, v: &Value| m.multi_label(v.as_bool().unwrap()),
            "curve" => |m: AUC, v| m.curve(match text(v) {
                "ROC" => Curve::Roc,
                "PR" => Curve::Pr,
                curve => panic!("no curve of ours is {curve}"),
            }),
            "summation_method" => |m: AUC, v| m.summation_method(match text(v) {
                "minoring" => SummationMethod::Minoring,
                "majoring" => SummationMethod::Majoring,
                method => panic!("no method of ours is {method}"),
            })
        ),
        _ => panic!("no metric of ours is {class}"),
    }
}

/// Over three batches, with one-hot targets and, where one class is true, with its label.
#[test]
fn after_each_batch() {
    let all = fixture("metrics");
    let cases = list(&all["cases"]);
    assert_eq!(cases.len(), 47);
    for case in cases {
        let metric = metric(text(&case["metric"]), map(&case["config"]));
        let data = text(&case["data"]);
        for labels in [false, true] {
            if labels && data != "classes" {
                continue;
            }
            let batches = list(&all["data"][data]);
            let classes = tensor(&batches[0]["truth"]).shape()[1];
            let output = Shape::from(classes);
            metric.check(&output).unwrap();
            let mut tally = metric.tally(&output);
            for (batch, expected) in batches.iter().zip(list(&case["values"])) {
                let (truth, predicted) = (tensor(&batch["truth"]), tensor(&batch["predicted"]));
                let class_of = |row: &[f32]| row.iter().position(|&t| t == 1.0).unwrap() as f32;
                let truth = truth.as_slice().unwrap();
                let truth = if labels {
                    truth.chunks(classes).map(class_of).collect()
                } else {
                    truth.to_vec()
                };
                tally.add(predicted.as_slice().unwrap(), &truth, classes);
                assert_eq!(metric.numbers(&output), list(expected).len());
                for (number, expected) in list(expected).iter().map(float).enumerate() {
                    let found = tally.result(number);
                    let name = text(&case["name"]);
                    // Keras counts and divides in f32.
                    assert!((found - expected).abs() <= 1e-6, "{name}: {found}, not {expected}");
                }
            }
        }
    }
}
