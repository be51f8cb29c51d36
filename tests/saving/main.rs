//! Whole models in files: what is saved comes back, and no file brings a program down.

mod damaged;
#[cfg(unix)]
mod killed;

use std::collections::HashMap;

use convnet::prelude::*;
use ndarray::{Array, ArrayD, ArrayViewD, IxDyn};
use safetensors::SafeTensors;
use serde_json::{Value, json};

/// A network with branches, names of its own, a layer that is not trained and weights of every kind.
fn branching() -> Model {
    let image = Input::new([6, 6, 2]).name("image");
    let extra = Input::new(3);
    let left = image.apply(Conv2D::new(4, 3).padding(Same).activation(Relu)).unwrap();
    let right = image.apply(DepthwiseConv2D::new(3).padding(Same).depth_multiplier(2)).unwrap();
    let right = right.apply(BatchNormalization::new()).unwrap();
    let sum = [&left, &right].apply(Add::new()).unwrap();
    let pooled = sum.apply(MaxPool2D::new(2)).unwrap().apply(Dropout::new(0.25)).unwrap();
    let flat = pooled.apply(Flatten::new()).unwrap();
    let all = (&flat, &extra).apply(Concatenate::new()).unwrap();
    let head = Dense::new(5).activation(Tanh).kernel_regularizer(L2(1e-3)).name("head");
    let value = all.apply(head.trainable(false)).unwrap();
    let class = value.apply(Dense::new(3).activation(Softmax)).unwrap();
    Model::new([&extra, &image], [&class, &value]).unwrap().seed(3)
}

/// Samples for each input of a model.
fn samples(model: &Model) -> Vec<ArrayD<f32>> {
    let inputs = model.inputs();
    let dims = inputs.iter().map(|input| [&[3], &**input.shape()].concat());
    dims.map(|dims| {
        let mut i = 0;
        Array::from_shape_simple_fn(IxDyn(&dims), || {
            i += 1;
            (i as f32 * 0.37).sin()
        })
    })
    .collect()
}

fn views(arrays: &[ArrayD<f32>]) -> Vec<ArrayViewD<'_, f32>> {
    arrays.iter().map(|array| array.view()).collect()
}

fn predicted(model: &Model) -> Vec<ArrayD<f32>> {
    let samples = samples(model);
    model.predict_all(views(&samples)).unwrap()
}

/// The bytes of the file of a model.
fn bytes(model: &Model) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    model.save(&path).unwrap();
    std::fs::read(&path).unwrap()
}

/// The graph in the bytes of a file.
fn graph(bytes: &[u8]) -> Value {
    let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
    serde_json::from_str(&header.metadata().as_ref().unwrap()["convnet"]).unwrap()
}

/// The bytes of a file with this in the place of its graph.
fn with_graph(bytes: &[u8], graph: &str) -> Vec<u8> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let texts = HashMap::from([("convnet".to_string(), graph.to_string())]);
    safetensors::serialize(file.tensors(), Some(texts.into_iter().collect())).unwrap()
}

#[track_caller]
fn refused(bytes: &[u8], why: &str) {
    let error = Model::from_bytes(bytes).expect_err(why);
    assert_eq!(error.to_string(), format!("from_bytes: the model {why}"));
    assert_eq!(error.kind(), convnet::ErrorKind::File);
}

#[test]
fn models_come_back() {
    let image = Input::new([28, 28, 1]);
    let large = Input::new([67, 67, 3]);
    let models = [
        branching(),
        Model::new(&image, models::lenet5(&image, 10).unwrap()).unwrap(),
        Model::new(&image, models::fashion_cnn(&image, 10).unwrap()).unwrap(),
        Model::new(&large, models::alexnet(&large, 4).unwrap()).unwrap(),
    ];
    for model in models {
        let bytes = bytes(&model);
        let loaded = Model::from_bytes(&bytes).unwrap();
        assert_eq!(loaded.layer_names(), model.layer_names());
        assert_eq!(loaded.summary().to_string(), model.summary().to_string());
        assert_eq!(loaded.weights(), model.weights());
        assert_eq!(predicted(&loaded), predicted(&model));
        assert!(self::bytes(&loaded) == bytes, "saved again it is the same file");
    }
}

#[test]
fn a_compiled_model_is_saved_and_trains_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let compile = |model: Model| {
        model.compile(SGD::new(0.1), (CategoricalCrossentropy, MeanSquaredError), ())
    };
    let mut model = compile(branching());
    let x = samples(&model);
    let y = [Array::eye(3).into_dyn(), Array::zeros((3, 5)).into_dyn()];
    model.train_on_batch(views(&x), views(&y), 0).unwrap();
    model.save(&path).unwrap();
    let mut loaded = compile(Model::load(&path).unwrap());
    assert_eq!(loaded.weights(), model.weights());
    for seed in 1..4 {
        let losses = [&mut model, &mut loaded]
            .map(|model| model.train_on_batch(views(&x), views(&y), seed).unwrap());
        assert_eq!(losses[0], losses[1]);
    }
    assert_eq!(loaded.weights(), model.weights());
}

#[test]
fn weights_are_read_from_the_file_of_a_model_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = branching();
    model.save(&path).unwrap();
    let mut other = branching().seed(17);
    other.load_weights(&path).unwrap();
    assert_eq!(other.weights(), model.weights());
    model.save_weights(&path).unwrap();
    let error = Model::load(&path).unwrap_err().to_string();
    let why = "holds no model, only weights perhaps; build the network and use load_weights, or save \
               the model by save";
    assert_eq!(error, format!("load: {} {why}", path.display()));
}

#[test]
fn a_loaded_model_gets_a_new_head() {
    let base = Model::from_bytes(&bytes(&branching())).unwrap();
    let features = base.output_of("head").unwrap();
    let class = features.apply(Dense::new(2).activation(Softmax)).unwrap();
    let model = Model::new(base.inputs(), &class).unwrap().weights_from(&base).unwrap();
    assert_eq!(model.layer_names().last().unwrap(), "dense");
    let known = ["conv2d/kernel", "head/bias"];
    for name in known {
        let weight = |model: &Model| {
            let weights = model.weights();
            weights.iter().find(|(own, _)| own == name).unwrap().1.to_owned()
        };
        assert_eq!(weight(&model), weight(&base));
    }
}

#[test]
fn the_text_says_what_the_documentation_says() {
    let image = Input::new([28, 28, 1]);
    let flat = image.apply(Flatten::new()).unwrap();
    let class = flat.apply(Dense::new(10).activation(Softmax)).unwrap();
    let model = Model::new(&image, &class).unwrap();
    let documented = include_str!("../../src/model/saving.rs");
    let (_, documented) = documented.split_once("/// ```json").unwrap();
    let (documented, _) = documented.split_once("/// ```").unwrap();
    let documented: Value = serde_json::from_str(&documented.replace("///", "")).unwrap();
    assert_eq!(graph(&bytes(&model)), documented);
}

#[test]
fn a_layer_that_cannot_be_saved_is_named() {
    #[derive(Debug)]
    struct Odd;
    impl Layer for Odd {
        fn class_name(&self) -> &'static str {
            "Odd"
        }
        fn output_shape(&self, inputs: &[convnet::Shape]) -> Result<convnet::Shape, String> {
            Ok(inputs[0].clone())
        }
        fn infer(&self, pass: convnet::layers::Infer<'_>) {
            pass.y.copy_from_slice(pass.x.get(0));
        }
        fn backward(&self, _: convnet::layers::Backward<'_>) {}
    }
    let x = Input::new(2);
    let model = Model::new(&x, x.apply(Odd).unwrap()).unwrap();
    let error = model.save("never.safetensors").unwrap_err();
    assert_eq!(
        error.to_string(),
        "save: the layer `odd` (Odd): it does not write its `config`; write it as config_of(self)"
    );
    assert!(!std::path::Path::new("never.safetensors").exists());
}

/// A small file and its graph, to be changed.
fn small() -> (Vec<u8>, Value) {
    let x = Input::new(2);
    let y = x.apply(Dense::new(3)).unwrap().apply(Dropout::new(0.5)).unwrap();
    let bytes = bytes(&Model::new(&x, &y).unwrap());
    let graph = graph(&bytes);
    (bytes, graph)
}

#[test]
fn graphs_that_make_no_sense() {
    let (bytes, whole) = small();
    let check = |place: &str, value: Value, why: &str| {
        let mut graph = whole.clone();
        *graph.pointer_mut(place).unwrap() = value;
        refused(&with_graph(&bytes, &graph.to_string()), why);
    };
    check(
        "/version",
        json!(2),
        "is of version 2 of the format; this version of the crate reads version 1: use one that knows \
         it",
    );
    check(
        "/layers/1/class",
        json!("PReLU"),
        "makes no sense: the layer `dense` (PReLU): no class of that name is known; give load_with \
         its layer, or use a newer version if it is one of this crate",
    );
    check(
        "/layers/2/config",
        json!({"rate": 1.5}),
        "makes no sense: the layer `dropout` (Dropout): dropout: cannot take an input of shape (3): \
         its rate is 1.5; it is a fraction from 0 to 1",
    );
    check(
        "/layers/2/config",
        json!({"rate": 0.5, "seed": 7}),
        "makes no sense: the layer `dropout` (Dropout): its config is wrong: unknown field `seed`, \
         expected `rate`",
    );
    check(
        "/layers/1/inputs",
        json!(["dropout"]),
        "makes no sense: `dense` reads `dropout`, and there is no such layer before",
    );
    check(
        "/layers/2/name",
        json!("dense"),
        "makes no sense: the layer `dense` (Dropout): another one has the same name",
    );
    check(
        "/layers/0/config/shape",
        json!([0]),
        "makes no sense: the layer `input_layer` (InputLayer): its samples of shape (0) would be \
         empty; every size is at least 1",
    );
    check(
        "/layers/0/config/shape",
        json!(vec![1; 33]),
        "makes no sense: the layer `input_layer` (InputLayer): its samples would have 33 axes; at \
         most 32 make sense",
    );
    check("/outputs", json!(["dense"]), "makes no sense: 1 of its layers lead nowhere");
    check("/outputs", json!([]), "makes no sense: model: it has no output; give at least one");
    check(
        "/inputs",
        json!(["other"]),
        "makes no sense: it begins with `other`, and there is no such layer before",
    );
    // 32 GiB that are not in the file.
    check(
        "/layers/1/config/units",
        json!(1u64 << 32),
        "contradicts itself: the graph in it and its weights differ: it does not fit this model: \
         different: `dense/kernel` (F32 of shape (2, 3) in the file, F32 of shape (2, 4294967296) \
         here), `dense/bias` (F32 of shape (3) in the file, F32 of shape (4294967296) here)",
    );
    check(
        "/layers/1/trainable",
        json!("yes"),
        "has a graph that cannot be read: invalid type: string \"yes\", expected a boolean at line 1 \
         column 380; save it anew",
    );
}
