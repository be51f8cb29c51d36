//! Files that are cut, changed or invented.

use convnet::prelude::*;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{branching, bytes, graph, refused, small, with_graph};

/// Reads a model from anything; what is read then works.
fn read(bytes: &[u8]) -> convnet::Result<Model> {
    let model = Model::from_bytes(bytes)?;
    assert!(model.count_params() * 4 <= bytes.len());
    Ok(model)
}

/// All places in a value, as JSON pointers.
fn places(value: &Value, here: String, all: &mut Vec<String>) {
    let inside: Vec<(String, &Value)> = match value {
        Value::Array(list) => {
            list.iter().enumerate().map(|(i, inner)| (i.to_string(), inner)).collect()
        }
        Value::Object(map) => map.iter().map(|(key, inner)| (key.clone(), inner)).collect(),
        _ => Vec::new(),
    };
    for (key, inner) in inside {
        places(inner, format!("{here}/{key}"), all);
    }
    all.push(here);
}

fn odd_values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u64..40).prop_map(Value::from),
        (0u32..64).prop_map(|bits| json!(1u64 << bits)),
        any::<f64>().prop_map(Value::from),
        "[a-z_0-9]{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "dense",
            "conv2d",
            "add",
            "image",
            "input_layer",
            "Flatten",
            "Add",
            "relu",
            "same"
        ])
        .prop_map(Value::from),
        prop::collection::vec(any::<u64>(), 0..5).prop_map(Value::from),
        Just(json!({})),
    ]
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn any_header(json in "\\PC{0,200}") {
        let bytes = [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn cut_off(part in 0.0..1.0f64) {
        let bytes = bytes(&branching());
        let length = (bytes.len() as f64 * part) as usize;
        prop_assert!(read(&bytes[..length]).is_err());
    }

    #[test]
    fn bits_flipped(flips in prop::collection::vec((0.0..1.0f64, 0u8..8), 1..4)) {
        let mut bytes = bytes(&branching());
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) + 8;
        for (part, bit) in flips {
            bytes[(header as f64 * part) as usize] ^= 1 << bit;
        }
        let _ = read(&bytes);
    }

    #[test]
    fn graphs_edited(edits in prop::collection::vec((0.0..1.0f64, odd_values()), 1..4)) {
        let bytes = bytes(&branching());
        let mut graph = graph(&bytes);
        for (part, value) in edits {
            let mut all = Vec::new();
            places(&graph, String::new(), &mut all);
            let place = &all[(all.len() as f64 * part) as usize];
            *graph.pointer_mut(place).unwrap() = value;
        }
        let _ = read(&with_graph(&bytes, &graph.to_string()));
    }

    #[test]
    fn texts_edited(part in 0.0..1.0f64, with in "\\PC{0,3}") {
        let bytes = bytes(&branching());
        let mut graph = graph(&bytes).to_string();
        let place = (graph.len() as f64 * part) as usize;
        graph.replace_range(place..place + 1, &with);
        let _ = read(&with_graph(&bytes, &graph));
    }
}

#[test]
fn deep_graphs() {
    let (bytes, whole) = small();
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        let deeper = whole.to_string().replace(r#"{"rate":0.5}"#, &deep);
        let error = Model::from_bytes(&with_graph(&bytes, &deeper)).unwrap_err().to_string();
        assert!(error.contains("recursion limit exceeded"), "{error}");
        let file = [&(deep.len() as u64).to_le_bytes()[..], deep.as_bytes()].concat();
        let error = Model::from_bytes(&file).unwrap_err().to_string();
        assert!(error.contains("is no whole safetensors file: "), "{error}");
    }
}

#[test]
fn large_graphs() {
    let (bytes, mut graph) = small();
    let larger = format!("{}{}", graph, " ".repeat(8 << 20));
    refused(
        &with_graph(&bytes, &larger),
        &format!("has a graph of {} bytes; at most 8388608 make sense", larger.len()),
    );
    // A long chain is neither read nor dropped by recursion.
    let dropout = graph["layers"][2].clone();
    let layers = graph["layers"].as_array_mut().unwrap();
    for i in 0..40_000 {
        let mut next = dropout.clone();
        next["inputs"] = json!([layers.last().unwrap()["name"]]);
        next["name"] = json!(format!("x{i}"));
        layers.push(next);
    }
    graph["outputs"] = json!(["x39999"]);
    let model = Model::from_bytes(&with_graph(&bytes, &graph.to_string())).unwrap();
    assert_eq!(model.layer_names().len(), 40_003);
}
