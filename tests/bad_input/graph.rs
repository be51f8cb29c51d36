//! Graphs that are no models: refused by `Model::new`.

use crate::refused;
use convnet::ErrorKind::Graph;
use convnet::Shape;
use convnet::layers::{Backward, Infer, WeightSpec};
use convnet::prelude::*;

#[test]
fn an_output_that_needs_another_input() {
    let (a, b) = (Input::new(3), Input::new(3).name("mask"));
    let sum = [&a, &b].apply(Add::new()).unwrap();
    refused(
        Model::new(&a, &sum),
        Graph,
        "model: the graph is disconnected: an output needs the Input `mask` of shape (3), which is \
         not among the inputs; add it to them",
    );
    refused(
        Model::new(&b, &sum),
        Graph,
        "model: the graph is disconnected: an output needs an Input of shape (3), which is not \
         among the inputs; add it to them",
    );
    let other = Input::new([28, 28, 1]);
    let class = a.apply(Dense::new(2)).unwrap();
    refused(
        Model::new(&other, &class),
        Graph,
        "model: the graph is disconnected: an output needs an Input of shape (3), which is not \
         among the inputs; add it to them",
    );
}

#[test]
fn an_input_that_nothing_uses() {
    let (a, b) = (Input::new(3), Input::new([5, 5, 1]));
    let class = a.apply(Dense::new(2)).unwrap();
    refused(
        Model::new([&a, &b], &class),
        Graph,
        "model: no output is reached from the input `input_layer_1` of shape (5, 5, 1); leave it \
         out or use it",
    );
    refused(
        Model::new([&a, &b.name("mask")], &class),
        Graph,
        "model: no output is reached from the input `mask` of shape (5, 5, 1); leave it out or use \
         it",
    );
}

#[test]
fn names_used_twice_or_empty() {
    let x = Input::new(3);
    let twice = x.apply(Dense::new(3).name("a")).unwrap().apply(Dense::new(3).name("a")).unwrap();
    refused(
        Model::new(&x, &twice),
        Graph,
        "model: the name `a` is used twice; give every layer a name of its own",
    );
    let x = x.name("x");
    refused(
        Model::new(&x, x.apply(Dense::new(3).name("x")).unwrap()),
        Graph,
        "model: the name `x` is used twice; give every layer a name of its own",
    );
    refused(
        Model::new(&x, x.apply(Dense::new(3).name("")).unwrap()),
        Graph,
        "model: the name `` is empty; give every layer a name of its own",
    );
}

/// A layer that wants weights of these names.
#[derive(Debug)]
struct Wants(&'static [&'static str]);

impl Layer for Wants {
    fn class_name(&self) -> &'static str {
        "Wants"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0].clone())
    }

    fn weights(&self, _inputs: &[Shape]) -> Vec<WeightSpec> {
        let weight = |name: &&'static str| WeightSpec::trainable(name, 2, Initializer::Ones);
        self.0.iter().map(weight).collect()
    }

    fn infer(&self, _pass: Infer<'_>) {}

    fn backward(&self, _pass: Backward<'_>) {}
}

/// They would have been one tensor of a file: to save them panicked.
#[test]
fn weights_of_the_same_name() {
    let x = Input::new(3);
    refused(
        Model::new(&x, x.apply(Wants(&["kernel", "bias", "kernel"])).unwrap()),
        Graph,
        "model: two weights are called `wants/kernel`; give each weight of a layer a name of its own",
    );
    let one = x.apply(Wants(&["b/kernel"]).name("a")).unwrap();
    refused(
        Model::new(&x, one.apply(Wants(&["kernel"]).name("a/b")).unwrap()),
        Graph,
        "model: two weights are called `a/b/kernel`; give each weight of a layer a name of its own",
    );
    assert!(Model::new(&x, one.apply(Wants(&["kernel"]).name("b")).unwrap()).is_ok());
}

#[test]
fn a_name_like_an_automatic_one_is_no_clash() {
    let x = Input::new(3);
    let y = x.apply(Dense::new(3)).unwrap().apply(Dense::new(3).name("dense")).unwrap();
    let model = Model::new(&x, &y).unwrap();
    let names: Vec<String> = model.weights().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["dense_1/kernel", "dense_1/bias", "dense/kernel", "dense/bias"]);
}

#[test]
fn inputs_and_outputs_listed_twice_or_not_at_all() {
    let x = Input::new(3);
    let y = x.apply(Dense::new(2)).unwrap();
    refused(Model::new([&x, &x], &y), Graph, "model: the same input is listed twice");
    refused(Model::new(&x, [&y, &y]), Graph, "model: the same output is listed twice");
    let none: [Node; 0] = [];
    refused(Model::new(&none, &y), Graph, "model: it has no input; give at least one");
    refused(Model::new(&x, &none), Graph, "model: it has no output; give at least one");
}

#[test]
fn an_input_that_is_no_input() {
    let x = Input::new(3);
    let middle = x.apply(Dense::new(2)).unwrap();
    let y = middle.apply(Dense::new(2)).unwrap();
    refused(
        Model::new(&middle, &y),
        Graph,
        "model: the output of `dense` cannot be an input of a model; begin with an Input",
    );
}

#[test]
fn layers_that_a_model_does_not_have() {
    let x = Input::new(3);
    let model = Model::new(&x, x.apply(Dense::new(2)).unwrap()).unwrap();
    refused(
        model.output_of("conv2d"),
        Graph,
        "output_of: the model has no layer `conv2d`; it has input_layer, dense",
    );
    refused(
        model.trainable(["dense", "dense_1"], false),
        Graph,
        "trainable: the model has no layer `dense_1`; it has input_layer, dense",
    );
}

/// Two models may look alike, and have layers of the same names, and still share none.
#[test]
fn weights_of_a_model_that_shares_no_layer() {
    let model = || {
        let x = Input::new(3);
        Model::new(&x, x.apply(Dense::new(2)).unwrap()).unwrap()
    };
    refused(
        model().weights_from(&model()),
        Graph,
        "weights_from: no layer with weights is in both models; build the new one on an output_of \
         the other",
    );
}

#[test]
fn a_graph_with_many_ways_through_it_is_printed_shortly() {
    let mut x = Node::from(&Input::new(3));
    for _ in 0..60 {
        x = [&x, &x].apply(Add::new()).unwrap();
    }
    assert_eq!(format!("{x:?}"), "Node(Add of shape (3))");
}

#[test]
fn an_empty_input_that_is_an_output_too() {
    let x = Input::new([2, 0]);
    refused(
        Model::new(&x, &x),
        Graph,
        "model: an input of shape (2, 0) would be empty; every size is at least 1",
    );
}
