//! Arrays that do not fit the model: refused by `fit`, `evaluate` and `predict` before any work.

use crate::{classifier, inputs, labels, one_hot, refused, silent, sparse_classifier};
use convnet::Column;
use convnet::ErrorKind::Data;
use convnet::prelude::*;
use ndarray::{Array, Array1, Array2, Array3, Array4, array};

#[test]
fn inputs_of_another_shape() {
    let mut model = classifier();
    refused(
        model.fit(&Array2::<f32>::zeros((8, 5)), &one_hot(), silent()),
        Data,
        "fit: the inputs have the shape (8, 5), the model wants (n, 3); change the data or the \
         model's Input",
    );
    refused(
        model.evaluate(&Array3::<f32>::zeros((8, 3, 1)), &one_hot()),
        Data,
        "evaluate: the inputs have the shape (8, 3, 1), the model wants (n, 3); the sizes agree: \
         reshape with to_shape or into_shape_with_order",
    );
    refused(
        model.predict(&array![1.0, 2.0, 3.0]),
        Data,
        "predict: the inputs have the shape (3), the model wants (n, 3); the first axis counts the \
         samples: use insert_axis(Axis(0)) for a single one",
    );
    refused(
        model.predict(&ndarray::arr0(1.0)),
        Data,
        "predict: the inputs have the shape (), the model wants (n, 3); change the data or the \
         model's Input",
    );
    let image = Input::new([5, 4, 1]);
    let flat = Model::new(&image, image.apply(Flatten::new()).unwrap()).unwrap();
    refused(
        flat.predict(&Array3::<u8>::zeros((2, 5, 4))),
        Data,
        "predict: the inputs have the shape (2, 5, 4), the model wants (n, 5, 4, 1); grey images \
         have one channel: use insert_axis with the last axis",
    );
    let swapped = Array4::<u8>::zeros((2, 1, 5, 4));
    refused(
        flat.predict(&swapped),
        Data,
        "predict: the inputs have the shape (2, 1, 5, 4), the model wants (n, 5, 4, 1); the sizes \
         agree: reshape with to_shape or into_shape_with_order",
    );
}

#[test]
fn labels_of_another_shape() {
    refused(
        classifier().fit(&inputs(), &Array2::<f32>::zeros((8, 10)), silent()),
        Data,
        "fit: the labels have the shape (8, 10), the loss wants (n, 4); the model's last layer and \
         the labels must have the same number of classes",
    );
    refused(
        classifier().fit(&inputs(), &labels(), silent()),
        Data,
        "fit: the labels have the shape (8), the loss wants (n, 4); make labels one-hot with \
         to_categorical, or use SparseCategoricalCrossentropy for integer labels",
    );
    refused(
        sparse_classifier().evaluate(&inputs(), &one_hot()),
        Data,
        "evaluate: the labels have the shape (8, 4), the loss wants (n); give integer labels, or \
         use CategoricalCrossentropy for one-hot ones",
    );
}

#[test]
fn labels_for_a_model_without_flatten() {
    let image = Input::new([5, 4, 3]);
    let scores = image.apply(Dense::new(4).activation(Softmax)).unwrap();
    let mut model =
        Model::new(&image, &scores).unwrap().compile(SGD::default(), CategoricalCrossentropy, ());
    refused(
        model.fit(&Array4::<f32>::zeros((8, 5, 4, 3)), &one_hot(), silent()),
        Data,
        "fit: the labels have the shape (8, 4), the loss wants (n, 5, 4, 4); put Flatten or \
         GlobalAveragePooling2D before the model's last layer",
    );
}

#[test]
fn unequal_lengths() {
    refused(
        sparse_classifier().fit(&inputs(), &Array1::<u8>::zeros(7), silent()),
        Data,
        "fit: got 8 inputs but 7 labels; every sample needs one of each",
    );
    let (a, b) = (Input::new(3), Input::new(3));
    let sum = [&a, &b].apply(Add::new()).unwrap();
    let model = Model::new([&a, &b], &sum).unwrap();
    let (five, six) = (Array2::<f32>::zeros((5, 3)), Array2::<f32>::zeros((6, 3)));
    refused(
        model.predict([five.view(), six.view()]),
        Data,
        "predict: the inputs have different lengths, 5 and 6; every sample needs one of each",
    );
    refused(
        model.predict(&five),
        Data,
        "predict: got 1 array as the inputs, the model wants 2; give an array or Vec of views, one for each",
    );
    let wide = Array2::<f32>::zeros((5, 4));
    refused(
        model.predict([five.view(), wide.view()]),
        Data,
        "predict: the inputs (array 2 of 2) have the shape (5, 4), the model wants (n, 3); change \
         the data or the model's Input",
    );
}

/// Made by hand, which is how inputs of several kinds of numbers come to one model.
#[test]
fn columns_of_fewer_or_more_numbers_than_their_shape_says() {
    let column = |floats: usize, dims: &[usize]| {
        vec![Column::Array { dims: dims.to_vec(), floats: vec![0.0; floats].into() }]
    };
    let mut model = sparse_classifier();
    for (floats, dims, found) in [
        (5, [8, 3], "(8, 3) and 5 floats"),
        (25, [8, 3], "(8, 3) and 25 floats"),
        (1, [usize::MAX, 3], "(18446744073709551615, 3) and 1 float"),
    ] {
        let end = "give as many as the shape says";
        refused(
            model.predict(column(floats, &dims)),
            Data,
            &format!("predict: the inputs have the shape {found}; {end}"),
        );
    }
    let error = model.predict(column(0, &[1, usize::MAX, 3])).unwrap_err().to_string();
    assert!(error.starts_with("predict: the inputs have the shape (1, 18446744073709551615, 3), "));
    refused(
        model.fit(&inputs(), column(7, &[8]), silent()),
        Data,
        "fit: the labels have the shape (8) and 7 floats; give as many as the shape says",
    );
    assert!(model.fit(column(24, &[8, 3]), column(8, &[8]), silent()).is_ok());
    let folder = tempfile::tempdir().unwrap();
    let report = convnet::report::Report::new(folder.path());
    refused(
        report.samples(&inputs(), column(7, &[8])).write(&model),
        Data,
        "report: the labels have the shape (8) and 7 floats; give as many as the shape says",
    );
}

#[test]
fn empty_arrays() {
    let mut model = sparse_classifier();
    let (x, y) = (Array2::<f32>::zeros((0, 3)), Array1::<u8>::zeros(0));
    refused(
        model.fit(&x, &y, silent()),
        Data,
        "fit: the inputs are empty; give at least one sample",
    );
    refused(
        model.evaluate(&x, &y),
        Data,
        "evaluate: the inputs are empty; give at least one sample",
    );
    refused(model.predict(&x), Data, "predict: the inputs are empty; give at least one sample");
    refused(
        model.train_on_batch(&x, &y, 0),
        Data,
        "train_on_batch: the inputs are empty; give at least one sample",
    );
    refused(
        model.fit(&inputs(), &labels(), silent().validation_data(&x, &y)),
        Data,
        "fit: validation_data: the inputs are empty; give at least one sample",
    );
}

#[test]
fn labels_that_are_no_class() {
    for wrong in ["4", "-1", "2.5", "-0.5"] {
        let mut y = labels().mapv(f32::from);
        y[5] = wrong.parse().unwrap();
        refused(
            sparse_classifier().fit(&inputs(), &y, silent()),
            Data,
            &format!(
                "fit: the label of sample 5 is {wrong}; labels are whole numbers from 0 to 3, one \
                 less than the model's classes"
            ),
        );
    }
}

#[test]
fn labels_that_are_not_one_hot() {
    let with = |row: [f32; 4]| {
        let mut y = one_hot();
        y.row_mut(6).assign(&Array1::from_vec(row.to_vec()));
        classifier().fit(&inputs(), &y, silent())
    };
    for (row, sum) in [([0.0; 4], "0"), ([1.0, 0.0, 1.0, 0.0], "2")] {
        refused(
            with(row),
            Data,
            &format!(
                "fit: the label of sample 6 is not one-hot: its 4 numbers sum to {sum}; make \
                 labels with to_categorical, or use SparseCategoricalCrossentropy for integer \
                 labels"
            ),
        );
    }
    refused(
        with([2.0, -1.0, 0.0, 0.0]),
        Data,
        "fit: the label of sample 6 is not one-hot: it holds -1; make labels with to_categorical, \
         or use SparseCategoricalCrossentropy for integer labels",
    );
    assert!(with([0.25; 4]).is_ok(), "a distribution over the classes is a label");
}

#[test]
fn numbers_that_are_not_finite() {
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = inputs();
        x[(4, 1)] = wrong;
        let sentence =
            |who| format!("{who}: the inputs hold {wrong} in sample 4; mend or remove that sample");
        let mut model = classifier();
        refused(model.fit(&x, &one_hot(), silent()), Data, &sentence("fit"));
        refused(model.evaluate(&x, &one_hot()), Data, &sentence("evaluate"));
        refused(model.predict(&x), Data, &sentence("predict"));
        refused(model.train_on_batch(&x, &one_hot(), 0), Data, &sentence("train_on_batch"));

        let mut y = one_hot();
        y[(7, 0)] = wrong;
        refused(
            model.fit(&inputs(), &y, silent()),
            Data,
            &format!("fit: the labels hold {wrong} in sample 7; mend or remove that sample"),
        );
    }
    // Too large for f32, in which everything is computed.
    let x = Array::from_elem((8, 3), 1e300_f64);
    refused(
        classifier().predict(&x),
        Data,
        "predict: the inputs hold inf in sample 0; mend or remove that sample",
    );
}

#[test]
fn one_class_is_no_choice() {
    let x = Input::new(3);
    let certain = x.apply(Dense::new(1).activation(Softmax)).unwrap();
    let model = Model::new(&x, &certain).unwrap();
    let mut model = model.compile(Adam::default(), CategoricalCrossentropy, ());
    refused(
        model.fit(&inputs(), &Array2::<f32>::ones((8, 1)), silent()),
        Data,
        "fit: the model's output has the shape (1); cross-entropy wants at least 2 classes on the \
         last axis; use BinaryCrossentropy for a single answer",
    );
}

#[test]
fn predict_with_two_outputs() {
    let x = Input::new(3);
    let outputs = [x.apply(Dense::new(2)).unwrap(), x.apply(Dense::new(5)).unwrap()];
    let model = Model::new(&x, &outputs).unwrap();
    refused(
        model.predict(&inputs()),
        Data,
        "predict: the model has 2 outputs; use predict_all, which gives them all",
    );
    let shapes: Vec<Vec<usize>> =
        model.predict_all(&inputs()).unwrap().iter().map(|y| y.shape().to_vec()).collect();
    assert_eq!(shapes, [[8, 2], [8, 5]]);
}

#[test]
fn weights_of_another_name_or_shape() {
    let mut model = classifier();
    refused(
        model.set_weight("dense/gamma", &Array1::<f32>::zeros(4)),
        Data,
        "set_weight: the model has no weight `dense/gamma`; it has dense/kernel, dense/bias",
    );
    refused(
        model.set_weight("dense/kernel", &Array2::<f32>::zeros((4, 3))),
        Data,
        "set_weight: `dense/kernel` has the shape (3, 4), got (4, 3)",
    );
}

#[test]
fn labels_of_yes_or_no_answers_beyond_0_to_1() {
    let x = Input::new(3);
    let answer = x.apply(Dense::new(1).activation(Sigmoid)).unwrap();
    let model = Model::new(&x, &answer).unwrap();
    let mut model = model.compile(Adam::default(), BinaryCrossentropy, ());
    let mut labels = Array2::<f32>::zeros((8, 1));
    labels[[5, 0]] = 2.0;
    refused(
        model.fit(&inputs(), &labels, silent()),
        Data,
        "fit: the label of sample 5 holds 2; labels of yes-or-no answers are from 0 to 1",
    );
    refused(
        model.fit(&inputs(), &Array1::<f32>::zeros(8), silent()),
        Data,
        "fit: the labels have the shape (8), the loss wants (n, 1); give labels another axis with \
         insert_axis(Axis(1))",
    );
}

#[test]
fn weights_of_samples_that_make_no_sense() {
    let (x, y) = (inputs(), one_hot());
    for (weights, got) in [(Array::ones(vec![7]), "(7)"), (Array::ones(vec![8, 1]), "(8, 1)")] {
        let weights: ndarray::ArrayD<f32> = weights;
        refused(
            classifier().fit(&x, Weighted::new(&y, &weights), silent()),
            Data,
            &format!(
                "fit: sample_weight has the shape {got}, there are 8 samples; give one number for \
                 each, an array of shape (8)"
            ),
        );
    }
    for weight in [-1.0, f32::NAN, f32::INFINITY] {
        let weights = Array1::from_shape_fn(8, |i| if i == 3 { weight } else { 1.0 });
        refused(
            classifier().train_on_batch(&x, Weighted::new(&y, &weights), 0),
            Data,
            &format!(
                "train_on_batch: sample_weight is {weight} for sample 3; it must be at least 0 and \
                 finite"
            ),
        );
    }
}
