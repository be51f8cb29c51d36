//! The layers of Keras that have a like here, and their settings. Ours are stored under Keras' names, so
//! that most settings are taken as they are.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::layers::{
    Activation, Add, Average, AveragePooling2D, BatchNormalization, Concatenate, Conv2D, Dense,
    DepthwiseConv2D, Dropout, Flatten, GlobalAveragePooling2D, GlobalMaxPool2D, Layer, LayerSpec,
    LeakyReLU, MaxPool2D, Multiply, RandomErasing, RandomFlip, RandomRotation, RandomTranslation,
    ReLU, Rescaling, Reshape, Resizing, SeparableConv2D, ZeroPadding2D,
};

/// The layer that Keras describes so, for inputs of so many axes, that of the samples among them; or why
/// there is none, as the end of a sentence that begins with the layer.
pub(super) fn layer(
    class: &str,
    config: &Map<String, Value>,
    axes: usize,
) -> Result<LayerSpec, String> {
    match class {
        "Activation" => activation(config),
        "Add" => configured(Add::new(), config, axes),
        "Average" => configured(Average::new(), config, axes),
        "AveragePooling2D" => configured(AveragePooling2D::new(2), config, axes),
        "BatchNormalization" => configured(BatchNormalization::new(), config, axes),
        "Concatenate" => configured(Concatenate::new(), config, axes),
        "Conv2D" => configured(Conv2D::new(0, 0), config, axes),
        "Dense" => configured(Dense::new(0), config, axes),
        "DepthwiseConv2D" => configured(DepthwiseConv2D::new(0), config, axes),
        "Dropout" => configured(Dropout::new(0.0), config, axes),
        "Flatten" => configured(Flatten::new(), config, axes),
        "GlobalAveragePooling2D" => configured(GlobalAveragePooling2D::new(), config, axes),
        "GlobalMaxPooling2D" => configured(GlobalMaxPool2D::new(), config, axes),
        "LeakyReLU" => configured(LeakyReLU::new(), config, axes),
        "MaxPooling2D" => configured(MaxPool2D::new(2), config, axes),
        "Multiply" => configured(Multiply::new(), config, axes),
        "RandomErasing" => configured(RandomErasing::new(), config, axes),
        "RandomFlip" => configured(RandomFlip::new(), config, axes),
        "RandomRotation" => configured(RandomRotation::new(0.0), config, axes),
        "RandomTranslation" => configured(RandomTranslation::new(0.0, 0.0), config, axes),
        "ReLU" => configured(ReLU::new(), config, axes),
        "Rescaling" => configured(Rescaling::new(1.0), config, axes),
        "Reshape" => configured(Reshape::new([]), config, axes),
        "Resizing" => configured(Resizing::new(0, 0), config, axes),
        "SeparableConv2D" => configured(SeparableConv2D::new(0, 0), config, axes),
        "ZeroPadding2D" => configured(ZeroPadding2D::new(0), config, axes),
        _ => Err("has no like here".to_string()),
    }
}

/// The class of its own that an activation is in Keras.
fn activation(config: &Map<String, Value>) -> Result<LayerSpec, String> {
    let mut chosen = Activation::Linear;
    for (name, value) in config {
        match name.as_str() {
            "activation" => {
                chosen = serde_json::from_value(value.clone()).map_err(|_| no_like(name, value))?;
            }
            _ => check_neutral(name, value, 0)?,
        }
    }
    Ok(chosen.into())
}

/// The layer with Keras' settings in place of its own.
fn configured<L>(layer: L, config: &Map<String, Value>, axes: usize) -> Result<LayerSpec, String>
where
    L: Layer + Serialize + DeserializeOwned,
{
    let mut saved = serde_json::to_value(layer).map_err(|error| error.to_string())?;
    for (name, value) in config {
        match saved.get_mut(name) {
            // One setting after the other, so that a wrong one can be named.
            Some(setting) => {
                let default = std::mem::replace(setting, translated(name, value)?);
                if serde_json::from_value::<L>(saved.clone()).is_err() {
                    return Err(format!(
                        "{}; here it would be like {default}",
                        no_like(name, value)
                    ));
                }
            }
            None => check_neutral(name, value, axes)?,
        }
    }
    let layer = serde_json::from_value::<L>(saved).map_err(|error| error.to_string())?;
    Ok(layer.into())
}

/// A setting of Keras as our layers store it.
fn translated(name: &str, value: &Value) -> Result<Value, String> {
    if name.ends_with("_initializer") {
        return initializer(name, value);
    }
    if name.ends_with("_regularizer") {
        return regularizer(name, value);
    }
    Ok(value.clone())
}

/// `{"class_name": "GlorotUniform", "config": {"seed": null}}`; seeds are not taken over, since the same
/// one draws other numbers here.
fn initializer(name: &str, value: &Value) -> Result<Value, String> {
    let number = |of: &str| value["config"].get(of).cloned().unwrap_or(Value::Null);
    Ok(match value["class_name"].as_str() {
        Some("Zeros") => json!("zeros"),
        Some("Ones") => json!("ones"),
        Some("Constant") => json!({ "constant": number("value") }),
        Some("GlorotUniform") => json!("glorot_uniform"),
        Some("GlorotNormal") => json!("glorot_normal"),
        Some("HeUniform") => json!("he_uniform"),
        Some("HeNormal") => json!("he_normal"),
        Some("LecunUniform") => json!("lecun_uniform"),
        Some("LecunNormal") => json!("lecun_normal"),
        Some("RandomUniform") => {
            json!({ "random_uniform": { "minval": number("minval"), "maxval": number("maxval") } })
        }
        Some("RandomNormal") => {
            json!({ "random_normal": { "mean": number("mean"), "stddev": number("stddev") } })
        }
        Some("TruncatedNormal") => {
            json!({ "truncated_normal": { "mean": number("mean"), "stddev": number("stddev") } })
        }
        _ => return Err(no_like(name, value)),
    })
}

/// `{"class_name": "L2", "config": {"l2": 0.01}}`, or none.
fn regularizer(name: &str, value: &Value) -> Result<Value, String> {
    let factor = |of: &str| value["config"].get(of).cloned().unwrap_or(Value::Null);
    Ok(match value["class_name"].as_str() {
        None if value.is_null() => Value::Null,
        Some("L1") => json!({ "L1": factor("l1") }),
        Some("L2") => json!({ "L2": factor("l2") }),
        Some("L1L2") => json!({ "L1L2": { "l1": factor("l1"), "l2": factor("l2") } }),
        _ => return Err(no_like(name, value)),
    })
}

/// Refuses a setting that is not there here, unless it says what is done here anyway.
pub(super) fn check_neutral(name: &str, value: &Value, axes: usize) -> Result<(), String> {
    let class = |wanted: &str| value["class_name"] == wanted;
    let neutral = match name {
        // Taken over elsewhere, or drawn in another way here.
        "name" | "trainable" | "seed" => true,
        "dtype" => value == "float32" || value["config"]["name"] == "float32",
        "data_format" => value == "channels_last",
        "axis" => *value == -1 || axes.checked_sub(1).is_some_and(|last| *value == last),
        "center" | "scale" => *value == true,
        "beta_initializer" | "moving_mean_initializer" => class("Zeros"),
        "gamma_initializer" | "moving_variance_initializer" => class("Ones"),
        "synchronized"
        | "renorm"
        | "sparse"
        | "ragged"
        | "optional"
        | "antialias"
        | "crop_to_aspect_ratio"
        | "pad_to_aspect_ratio" => *value == false,
        // Of settings that are off.
        "renorm_momentum" | "fill_mode" | "fill_value" => true,
        _ => value.is_null(),
    };
    if neutral { Ok(()) } else { Err(no_like(name, value)) }
}

fn no_like(name: &str, value: &Value) -> String {
    let shown = match &value["class_name"] {
        Value::String(class) => class.clone(),
        _ => value.to_string(),
    };
    let shown: String = shown.chars().take(80).collect();
    format!("has {name} = {shown}, which has no like here")
}
