//! `load_keras` and `from_keras`.

use std::io::Write;

use serde_json::{Value, json};

use super::*;

#[test]
fn weights_that_keras_wrote() {
    for name in ["small", "plain"] {
        for extension in ["weights.h5", "keras"] {
            let mut model = drawn_anew(match name {
                "small" => networks::small(),
                _ => networks::plain(),
            });
            model.load_keras(fixture(&format!("{name}.{extension}"))).unwrap();
            predicts(&model, &format!("{name}.keras.predicted.safetensors"));
        }
    }
}

#[test]
fn models_that_keras_wrote() {
    for name in ["small", "plain", "every_layer"] {
        let model = Model::from_keras(fixture(&format!("{name}.keras"))).unwrap();
        predicts(&model, &format!("{name}.keras.predicted.safetensors"));
    }
}

/// What does not show in predictions: names, what is trained, and how weights are drawn anew.
#[test]
fn settings_of_training_are_taken_over() {
    let model = Model::from_keras(fixture("small.keras")).unwrap();
    let names = model.layer_names();
    assert!(
        ["conv", "flat_norm", "right", "head"].iter().all(|name| names.contains(&name.to_string()))
    );
    let model = Model::from_keras(fixture("every_layer.keras")).unwrap();
    assert!(model.summary().to_string().contains("Non-trainable params: 122"));
    let model = model.seed(5);
    let weights = model.weights();
    let vector = |floats: usize, number: f32| {
        weights.iter().filter(|(_, w)| w.len() == floats && w.iter().all(|&x| x == number)).count()
    };
    assert_eq!(vector(5, 0.25), 1, "the bias that starts as 0.25");
}

/// A `.keras` file with a changed `config.json`.
fn changed(change: impl Fn(&mut Value)) -> (TempDir, PathBuf) {
    let bytes = fs::read(fixture("small.keras")).unwrap();
    let archive = rawzip::ZipArchive::from_slice(&bytes).unwrap();
    let mut written = rawzip::ZipArchiveWriter::new(Vec::new());
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().unwrap() {
        let name = String::from_utf8(entry.file_path().as_bytes().to_vec()).unwrap();
        let mut part = archive.get_entry(entry.wayfinder()).unwrap().data().to_vec();
        if name == "config.json" {
            let mut config = serde_json::from_slice(&part).unwrap();
            change(&mut config);
            part = serde_json::to_vec(&config).unwrap();
        }
        let (mut entry, config) = written.new_file(&name).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(&part).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    file("changed.keras", &written.finish().unwrap())
}

/// The entry of a layer in the list.
fn layer<'a>(config: &'a mut Value, name: &str) -> &'a mut Value {
    let layers = config["config"]["layers"].as_array_mut().unwrap();
    layers.iter_mut().find(|layer| layer["config"]["name"] == name).unwrap()
}

#[track_caller]
fn refused_when(change: impl Fn(&mut Value), why: &str) {
    let (_folder, path) = changed(change);
    let sentence = format!("from_keras: {} {why}", path.display());
    refused(Model::from_keras(&path), ErrorKind::File, &sentence);
}

#[test]
fn layers_that_have_no_like_here() {
    let (_folder, path) = changed(|_| {});
    Model::from_keras(path).unwrap();
    refused_when(
        |config| layer(config, "conv")["class_name"] = json!("Conv3D"),
        "has the layer `conv` of class Conv3D, which has no like here",
    );
    refused_when(
        |config| layer(config, "head")["module"] = Value::Null,
        "has the layer `head` of class Dense, which is not one of Keras' own layers",
    );
    refused_when(
        |config| config["class_name"] = json!("Subclass"),
        "is a Subclass; only Sequential and functional models can be read",
    );
    refused_when(
        |config| {
            let calls = layer(config, "head")["inbound_nodes"].as_array_mut().unwrap();
            calls.push(calls[0].clone());
        },
        "has the layer `head` of class Dense, which is applied 2 times; layers are not shared here",
    );
    refused_when(
        |config| layer(config, "head")["inbound_nodes"][0]["kwargs"] = json!({ "mask": true }),
        "has the layer `head` of class Dense, which is called with mask = true, which has no like \
         here",
    );
}

#[test]
fn settings_that_have_no_like_here() {
    for (of, class, setting, value, shown) in [
        ("conv", "Conv2D", "data_format", json!("channels_first"), "\"channels_first\""),
        ("conv", "Conv2D", "kernel_constraint", json!({ "class_name": "MaxNorm" }), "MaxNorm"),
        ("conv", "Conv2D", "bias_regularizer", json!({ "class_name": "Own" }), "Own"),
        (
            "conv",
            "Conv2D",
            "kernel_initializer",
            json!({ "class_name": "Orthogonal" }),
            "Orthogonal",
        ),
        ("head", "Dense", "dtype", json!("float16"), "\"float16\""),
        ("head", "Dense", "lora_rank", json!(4), "4"),
        ("norm", "BatchNormalization", "axis", json!(1), "1"),
        ("norm", "BatchNormalization", "center", json!(false), "false"),
    ] {
        refused_when(
            |config| layer(config, of)["config"][setting] = value.clone(),
            &format!(
                "has the layer `{of}` of class {class}, which has {setting} = {shown}, which has no like \
                 here"
            ),
        );
    }
    refused_when(
        |config| layer(config, "conv")["config"]["padding"] = json!("causal"),
        "has the layer `conv` of class Conv2D, which has padding = \"causal\", which has no like here; \
         here it would be like \"valid\"",
    );
    refused_when(
        |config| layer(config, "head")["config"]["activation"] = json!("softplus"),
        "has the layer `head` of class Dense, which has activation = \"softplus\", which has no like \
         here; here it would be like \"linear\"",
    );
    refused_when(
        |config| {
            config["config"]["layers"][0]["config"]["batch_shape"] = json!([null, null, null, 2]);
        },
        "has the layer `image` of class InputLayer, which has batch_shape = [null,null,null,2]; \
         sizes must be known here",
    );
}

#[test]
fn architectures_that_are_damaged() {
    refused_when(
        |config| layer(config, "conv")["config"]["filters"] = json!(0),
        "has the layer `conv` of class Conv2D, which cannot be built: conv: cannot take an input of \
         shape (8, 6, 2): it has 0 filters; give at least 1",
    );
    // A few bytes that ask for gigabytes.
    refused_when(
        |config| layer(config, "left")["config"]["units"] = json!(400_000_000),
        "has the layer `left` of class Dense, which wants more weights than the file has",
    );
    refused_when(
        |config| config["config"]["output_layers"] = json!(["nobody", 0, 0]),
        "reads [\"nobody\",0,0], which no layer before it makes",
    );
    refused_when(|config| *config = json!([]), "has no class_name where one is expected");
    refused_when(
        |config| config["config"]["layers"] = json!([{ "class_name": "Dense" }]),
        "has a layer without config",
    );
    refused_when(
        |config| {
            let entry = layer(config, "head").clone();
            config["config"]["layers"].as_array_mut().unwrap().push(entry);
        },
        "has the layer `head` of class Dense, which is there twice",
    );
}

/// Demands that the file is refused so, and that no weight has changed.
#[track_caller]
fn not_loaded(model: &mut Model, path: &Path, why: &str) {
    let before: Vec<_> = model.weights().into_iter().map(|(_, w)| w.to_owned()).collect();
    let sentence = format!("load_keras: {} {why}", path.display());
    refused(model.load_keras(path), ErrorKind::File, &sentence);
    assert!(model.weights().iter().map(|(_, w)| w).eq(&before));
}

#[test]
fn weights_of_another_model() {
    not_loaded(
        &mut networks::plain().unwrap(),
        &fixture("small.weights.h5"),
        "does not fit this model: missing: `conv2d_1/kernel`, `conv2d_1/bias`; unexpected: \
         `batch_normalization/vars/0 of norm`, `batch_normalization/vars/1 of norm`, \
         `batch_normalization/vars/2 of norm`, `batch_normalization/vars/3 of norm`, \
         `batch_normalization_1/vars/0 of flat_norm`, `batch_normalization_1/vars/1 of flat_norm`, \
         `batch_normalization_1/vars/2 of flat_norm`, `batch_normalization_1/vars/3 of flat_norm`, \
         `dense_2/vars/0 of head`, `dense_2/vars/1 of head`, `depthwise_conv2d/vars/0 of \
         depthwise`, `depthwise_conv2d/vars/1 of depthwise`, `separable_conv2d/vars/0 of \
         separable`, `separable_conv2d/vars/1 of separable`, `separable_conv2d/vars/2 of \
         separable`; different: `conv2d/kernel` (F32 of shape (3, 3, 1, 4) in the file, F32 of shape \
         (3, 3, 1, 3) here), `conv2d/bias` (F32 of shape (4) in the file, F32 of shape (3) here), \
         `dense/kernel` (F32 of shape (36, 5) in the file, F32 of shape (64, 6) here), `dense/bias` (F32 \
         of shape (5) in the file, F32 of shape (6) here), `dense_1/kernel` (F32 of shape (6, 5) in the \
         file, F32 of shape (6, 4) here), `dense_1/bias` (F32 of shape (5) in the file, F32 of shape (4) \
         here)",
    );
}

#[test]
fn files_that_are_something_else() {
    let mut model = networks::small().unwrap();
    let (_folder, path) = file("weights.h5", b"something else");
    not_loaded(&mut model, &path, "is no file of Keras 3; give a .weights.h5 or .keras file");
    let path = fixture("small.weights.h5");
    refused(
        Model::from_keras(&path),
        ErrorKind::File,
        &format!(
            "from_keras: {} has weights and no architecture; give a .keras file, or build the model and \
             use load_keras",
            path.display()
        ),
    );
    let error = model.load_keras(path.with_extension("none")).unwrap_err().to_string();
    assert!(error.contains(".none cannot be read: "), "{error}");
    let (_folder, path) = file("empty.keras", b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    not_loaded(&mut model, &path, "has no config.json; give a .keras file that Keras 3 wrote");
}

/// Refused, or read as what they now say; never a panic.
#[test]
fn files_that_are_damaged() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["small.weights.h5", "small.keras"] {
        let whole = fs::read(fixture(name)).unwrap();
        let mut model = networks::small().unwrap();
        let path = folder.path().join(name);
        for bytes in damaged(&whole, 600) {
            fs::write(&path, bytes).unwrap();
            let _ = model.load_keras(&path);
            let _ = Model::from_keras(&path);
        }
    }
}
