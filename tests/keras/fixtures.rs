//! What Keras wrote to `fixtures/`, as arrays and as layers of this crate. Tests inside and outside
//! the crate include this file; `super` gives it the prelude, `LayerSpec` and `Pair`.

use ndarray::ArrayD;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::*;

/// A file that a script in `fixtures/` wrote.
pub(crate) fn fixture(name: &str) -> Value {
    let path = format!("{}/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

pub(crate) fn map(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("a map")
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

pub(crate) fn float(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

pub(crate) fn tensor(value: &Value) -> ArrayD<f32> {
    let dims: Vec<usize> = list(&value["shape"]).iter().map(|dim| float(dim) as usize).collect();
    let floats = list(&value["data"]).iter().map(|number| float(number) as f32).collect();
    ArrayD::from_shape_vec(dims, floats).expect("as many numbers as the shape says")
}

/// The largest difference between numbers found and expected, as a fraction of the largest expected
/// unless that is 0.
pub(crate) fn error<'a>(
    found: impl IntoIterator<Item = &'a f32>,
    expected: impl IntoIterator<Item = &'a f32>,
) -> f32 {
    let (mut found, mut expected) = (found.into_iter(), expected.into_iter());
    let (mut difference, mut largest) = (0.0f32, 0.0f32);
    loop {
        match (found.next(), expected.next()) {
            (Some(found), Some(expected)) if found.is_finite() => {
                difference = difference.max((found - expected).abs());
                largest = largest.max(expected.abs());
            }
            (None, None) if largest == 0.0 => return difference,
            (None, None) => return difference / largest,
            _ => return f32::INFINITY,
        }
    }
}

/// The layer that `{"layer": .., "config": {..}}` describes.
pub(crate) fn layer(description: &Value) -> LayerSpec {
    let config = map(&description["config"]);
    match text(&description["layer"]) {
        "Activation" => {
            assert_eq!(config.len(), 1);
            serde_json::from_value::<Activation>(config["activation"].clone())
                .expect("known")
                .into()
        }
        "Add" => configured(Add::new(), config),
        "Average" => configured(Average::new(), config),
        "AveragePooling2D" => configured(AveragePooling2D::new(pool_size(config)), config),
        "BatchNormalization" => configured(BatchNormalization::new(), config),
        "Concatenate" => configured(Concatenate::new(), config),
        "Conv2D" => configured(Conv2D::new(0, 0), config),
        "Dense" => configured(Dense::new(0), config),
        "DepthwiseConv2D" => configured(DepthwiseConv2D::new(0), config),
        "Flatten" => configured(Flatten::new(), config),
        "GlobalAveragePooling2D" => configured(GlobalAveragePooling2D::new(), config),
        "GlobalMaxPooling2D" => configured(GlobalMaxPool2D::new(), config),
        "LeakyReLU" => configured(LeakyReLU::new(), config),
        "LocalResponseNormalization" => configured(LocalResponseNormalization::new(), config),
        "MaxPooling2D" => configured(MaxPool2D::new(pool_size(config)), config),
        "Multiply" => configured(Multiply::new(), config),
        "ReLU" => configured(ReLU::new(), config),
        "Rescaling" => configured(Rescaling::new(1.0), config),
        "Reshape" => configured(Reshape::new([]), config),
        "Resizing" => configured(Resizing::new(0, 0), config),
        "SeparableConv2D" => configured(SeparableConv2D::new(0, 0), config),
        "ZeroPadding2D" => configured(ZeroPadding2D::new(0), config),
        class => panic!("no layer of ours is a {class}"),
    }
}

/// The layer with arguments of Keras in place of its own: it is saved under the same names. One that
/// it does not have is a failure, so that no case is run as another one.
fn configured<L>(layer: L, config: &Map<String, Value>) -> LayerSpec
where
    L: Layer + Serialize + DeserializeOwned + 'static,
{
    let class = layer.class_name();
    let mut saved = serde_json::to_value(layer).expect("a layer can be saved");
    for (name, value) in config {
        let argument = saved.get_mut(name).unwrap_or_else(|| panic!("{class} has no {name}"));
        *argument = value.clone();
    }
    serde_json::from_value::<L>(saved).expect("a layer can be loaded").into()
}

/// Strides that are not given are the size of the pool.
fn pool_size(config: &Map<String, Value>) -> Pair {
    serde_json::from_value(config["pool_size"].clone()).expect("two sizes")
}
