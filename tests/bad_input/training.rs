//! Settings that make no sense, refused at the start of `fit`; and losses that run away.

use crate::{classifier, inputs, labels, one_hot, refused, silent, sparse_classifier};
use convnet::ErrorKind::{self, Diverged};
use convnet::prelude::*;
use ndarray::Array2;

/// Demands that `fit` refuses these settings with this sentence and leaves the weights alone.
#[track_caller]
pub(crate) fn fit_refused(fit: Fit<'_>, sentence: &str) {
    let mut model = classifier();
    refused(model.fit(&inputs(), &one_hot(), fit), ErrorKind::Training, sentence);
    assert_eq!(model.weights(), classifier().weights());
}

#[test]
fn nothing_to_do() {
    fit_refused(silent().batch_size(0), "fit: batch_size is 0; it is at least 1");
    fit_refused(silent().epochs(0), "fit: epochs is 0; it is at least 1");
    for initial_epoch in [5, 6] {
        fit_refused(
            silent().initial_epoch(initial_epoch).epochs(5),
            &format!(
                "fit: nothing to do from epoch {initial_epoch} to 5; epochs is the number of the \
                 last epoch, not how many"
            ),
        );
    }
}

#[test]
fn a_validation_split_that_makes_no_sense() {
    for fraction in [-0.1, 1.0, 1.5, f64::NAN] {
        fit_refused(
            silent().validation_split(fraction),
            &format!(
                "fit: validation_split is {fraction}; it is the fraction of the samples to hold \
                 out, at least 0 and below 1"
            ),
        );
    }
    fit_refused(
        silent().validation_split(0.9),
        "fit: a validation_split of 0.9 leaves none of 8 samples to train on; use another \
         fraction, more samples or validation_data",
    );
    fit_refused(
        silent().validation_split(1e-17),
        "fit: a validation_split of 0.00000000000000001 leaves none of 8 samples to validate with; \
         use another fraction, more samples or validation_data",
    );
}

fn fit(optimizer: impl Optimizer + 'static) -> convnet::Result<History> {
    let model = classifier().into_model();
    let mut model = model.compile(optimizer, CategoricalCrossentropy, ());
    model.fit(&inputs(), &one_hot(), silent())
}

#[test]
fn an_optimizer_that_makes_no_sense() {
    for rate in [f64::NAN, f64::INFINITY, -0.001] {
        refused(
            fit(Adam::new(rate)),
            ErrorKind::Training,
            &format!("fit: adam: learning_rate is {rate}; it must be at least 0 and finite"),
        );
    }
    refused(
        fit(Adam::default().beta_1(1.0)),
        ErrorKind::Training,
        "fit: adam: beta_1 is 1; it must be at least 0 and below 1",
    );
    refused(
        fit(Adam::default().epsilon(f64::NAN)),
        ErrorKind::Training,
        "fit: adam: epsilon is NaN; it must be above 0 and finite, also in single precision",
    );
    // A weight whose gradient has always been 0 would become 0 / 0.
    refused(
        fit(RMSprop::default().epsilon(1e-50)),
        ErrorKind::Training,
        &format!(
            "fit: rmsprop: epsilon is {}; it must be above 0 and finite, also in single precision",
            1e-50
        ),
    );
    assert!(fit(Adam::new(0.0)).is_ok(), "a learning rate of 0 only looks");
    refused(
        fit(SGD::default().momentum(1.1)),
        ErrorKind::Training,
        "fit: sgd: momentum is 1.1; it must be from 0 to 1",
    );
    refused(
        fit(RMSprop::default().rho(-0.5)),
        ErrorKind::Training,
        "fit: rmsprop: rho is -0.5; it must be at least 0 and below 1",
    );
    refused(
        fit(AdamW::default().beta_2(1.0)),
        ErrorKind::Training,
        "fit: adamw: beta_2 is 1; it must be at least 0 and below 1",
    );
    refused(
        fit(AdamW::default().clipnorm(1.0).global_clipnorm(1.0)),
        ErrorKind::Training,
        "fit: adamw: both clipnorm and global_clipnorm are given; choose one of them",
    );
    refused(
        fit(SGD::default().clipvalue(0.0)),
        ErrorKind::Training,
        "fit: sgd: clipvalue is 0; it must be above 0 and finite, or not given",
    );
}

#[test]
fn a_schedule_that_makes_no_sense() {
    for (fitted, sentence) in [
        (
            fit(Adam::new(ExponentialDecay::new(0.1, 0, 0.5))),
            "fit: adam: decay_steps of its ExponentialDecay is 0; it is at least 1",
        ),
        (
            fit(Adam::new(ExponentialDecay::new(0.1, 5, -0.5))),
            "fit: adam: decay_rate of its ExponentialDecay is -0.5; it must be at least 0 and finite",
        ),
        (
            fit(SGD::new(CosineDecay::new(0.1, 0))),
            "fit: sgd: decay_steps of its CosineDecay is 0; it is at least 1",
        ),
        (
            fit(SGD::new(CosineDecay::new(0.1, 9).warmup(f64::NAN, 3))),
            "fit: sgd: warmup_target of its CosineDecay is NaN; it must be at least 0 and finite",
        ),
        (
            fit(SGD::new(PiecewiseConstantDecay::new([5], [0.1]))),
            "fit: sgd: its PiecewiseConstantDecay has 1 values for 1 boundaries; give one value more \
             than boundaries",
        ),
        (
            fit(SGD::new(PiecewiseConstantDecay::new([5, 5], [0.3, 0.2, 0.1]))),
            "fit: sgd: a boundary of its PiecewiseConstantDecay is 5 and the next one 5; each must \
             be larger than the one before",
        ),
        (
            fit(SGD::new(PiecewiseConstantDecay::new([5], [0.3, -0.2]))),
            "fit: sgd: a value of its PiecewiseConstantDecay is -0.2; it must be at least 0 and \
             finite",
        ),
    ] {
        refused(fitted, ErrorKind::Training, sentence);
    }
}

#[test]
fn a_schedule_that_leads_to_no_number() {
    // 0 · 1e200² is 0 · ∞.
    let optimizer = SGD::new(ExponentialDecay::new(0.0, 1, 1e200));
    let model = classifier().into_model();
    let mut model = model.compile(optimizer, CategoricalCrossentropy, ());
    let sentence = "fit: in step 2: learning_rate is NaN; it must be at least 0 and finite";
    let fitted = model.fit(&inputs(), &one_hot(), silent().batch_size(2));
    refused(fitted, ErrorKind::Training, sentence);
    assert_eq!(model.weights(), classifier().weights());
    let sentence = sentence.replace("fit", "train_on_batch");
    refused(model.train_on_batch(&inputs(), &one_hot(), 0), ErrorKind::Training, &sentence);
}

#[test]
fn an_output_called_val() {
    let x = Input::new(3);
    let [one, two] = ["val", "other"].map(|name| x.apply(Dense::new(1).name(name)).unwrap());
    let model = Model::new(&x, [&one, &two]).unwrap();
    let mut model = model.compile(SGD::default(), MeanSquaredError, ());
    let y = Array2::<f32>::ones((8, 1));
    let labels = || [y.view(), y.view()];
    refused(
        model.fit(&inputs(), labels(), silent().validation_split(0.25)),
        ErrorKind::Training,
        "fit: two numbers would be called `val_loss`; give a metric another name with named, or an \
         output layer with name",
    );
    assert!(model.fit(&inputs(), labels(), silent()).is_ok());
}

#[test]
fn a_model_without_weights() {
    let x = Input::new(4);
    let model = Model::new(&x, x.apply(Activation::Softmax).unwrap()).unwrap();
    let mut model = model.compile(Adam::default(), CategoricalCrossentropy, ());
    refused(
        model.fit(&one_hot(), &one_hot(), silent()),
        ErrorKind::Training,
        "fit: the model has no weights to train; add a layer that has some",
    );
}

#[test]
fn a_model_that_is_frozen() {
    let x = Input::new(3);
    let class = x.apply(Dense::new(4).activation(Softmax).trainable(false)).unwrap();
    let model = Model::new(&x, &class).unwrap();
    let mut model = model.compile(Adam::default(), CategoricalCrossentropy, ());
    refused(
        model.fit(&inputs(), &one_hot(), silent()),
        ErrorKind::Training,
        "fit: no layer with weights is trainable; set one to trainable(true) before compile",
    );
}

/// A classifier whose first step throws the weights so far that the next batch overflows.
fn runaway() -> CompiledModel {
    let model = sparse_classifier().into_model();
    model.compile(Adam::new(1e38), SparseCategoricalCrossentropy, [Accuracy])
}

#[test]
fn a_loss_that_is_not_finite_names_epoch_and_batch() {
    let x = inputs() * 1e3;
    let mut model = runaway();
    // 8 samples in batches of 4: the first batch is fine, the second meets the thrown weights.
    refused(
        model.fit(&x, &labels(), silent().epochs(3).batch_size(4).shuffle(false)),
        Diverged,
        "fit: the loss became NaN in epoch 1, batch 2 (counted from 1); the weights are those \
         before that batch, or the best so far with restore_best_weights; try a smaller learning \
         rate or scale the inputs",
    );
    refused(
        model.train_on_batch(&x, &labels(), 0),
        Diverged,
        "train_on_batch: the loss became NaN; the weights are as before; try a smaller learning \
         rate or scale the inputs",
    );
}

#[test]
fn a_loss_that_is_not_finite_leaves_the_weights_of_before_that_batch() {
    let x = inputs() * 1e3;
    let (mut one_step, mut two_steps) = (runaway(), runaway());
    one_step.fit(&x, &labels(), silent().shuffle(false)).unwrap();
    two_steps.fit(&x, &labels(), silent().shuffle(false).epochs(2)).unwrap_err();
    assert_eq!(one_step.weights(), two_steps.weights());
}

#[test]
fn moving_averages_are_as_before_the_batch_too() {
    let x = Input::new(3);
    let class = x
        .apply(Dense::new(3))
        .and_then(|x| x.apply(BatchNormalization::new()))
        .and_then(|x| x.apply(Dense::new(4).activation(Softmax)))
        .unwrap();
    let mut model = Model::new(&x, &class).unwrap();
    let huge = model.weights()[0].1.mapv(|w| w * 1e30);
    model.set_weight("dense/kernel", &huge).unwrap();
    let mut model = model.compile(Adam::default(), SparseCategoricalCrossentropy, ());
    let before: Vec<_> = model.weights().into_iter().map(|(_, weight)| weight.to_owned()).collect();
    let error = model.fit(&(inputs() * 1e30), &labels(), silent()).unwrap_err();
    assert_eq!(error.kind(), Diverged);
    for ((name, after), before) in model.weights().iter().zip(before) {
        assert_eq!(after, before, "{name}");
    }
}

#[test]
fn a_validation_loss_that_is_not_finite() {
    let (x, y) = (inputs() * 1e3, labels());
    let fit = silent().batch_size(8).validation_data(&x, &y);
    refused(
        runaway().fit(&x, &y, fit),
        Diverged,
        "fit: the validation loss became NaN after epoch 1 (counted from 1); the weights are those \
         of that epoch, or the best so far with restore_best_weights; try a smaller learning rate \
         or scale the inputs",
    );
}

/// Raises the learning rate beyond reason before an epoch.
struct Blow(usize);

impl Callback for Blow {
    fn on_epoch_begin(
        &mut self,
        epoch: usize,
        training: &mut convnet::callbacks::Training<'_>,
    ) -> convnet::Result<()> {
        if epoch == self.0 {
            training.set_learning_rate(1e38);
        }
        Ok(())
    }
}

#[test]
fn early_stopping_restores_the_best_weights_when_the_loss_runs_away() {
    let x = inputs() * 1e3;
    let fit = |epochs| silent().batch_size(4).epochs(epochs);
    let mut good = sparse_classifier();
    good.fit(&x, &labels(), fit(2)).unwrap();

    let mut model = sparse_classifier();
    let mut stopping = EarlyStopping::new(Monitor::Loss).patience(9).restore_best_weights(true);
    let error =
        model.fit(&x, &labels(), fit(9).callback(&mut stopping).callback(Blow(2))).unwrap_err();
    assert!(error.to_string().contains("in epoch 3, batch 2"), "{error}");
    assert_eq!(stopping.best_epoch(), Some(1));
    assert_eq!(model.weights(), good.weights());
}

#[test]
fn a_loss_that_makes_no_sense() {
    for smoothing in [-0.1, 1.5, f32::NAN] {
        let sentence = format!("fit: label_smoothing is {smoothing}; it must be from 0 to 1");
        let model = || classifier().into_model();
        let loss = CategoricalCrossentropy.label_smoothing(smoothing);
        let fit = model().compile(Adam::default(), loss, ()).fit(&inputs(), &one_hot(), silent());
        refused(fit, ErrorKind::Training, &sentence);
        let loss = BinaryCrossentropy.label_smoothing(smoothing);
        let fit = model().compile(Adam::default(), loss, ()).fit(&inputs(), &one_hot(), silent());
        refused(fit, ErrorKind::Training, &sentence);
    }
}

#[test]
fn a_metric_that_makes_no_sense() {
    fn fit(metrics: impl convnet::metrics::IntoMetrics) -> convnet::Result<History> {
        let model = classifier().into_model();
        let mut model = model.compile(Adam::default(), CategoricalCrossentropy, metrics);
        model.fit(&inputs(), &one_hot(), silent())
    }
    for (fitted, sentence) in [
        (
            fit([Precision::new().class_id(4)]),
            "fit: precision: class_id is 4, the output has 4 classes; they are counted from 0",
        ),
        (
            fit([Recall::new().top_k(0)]),
            "fit: recall: top_k is 0, the output has 4 classes; it must be from 1 to 4",
        ),
        (
            fit([BinaryAccuracy::new().threshold(2.0)]),
            "fit: binary_accuracy: threshold is 2; it must be from 0 to 1",
        ),
        (
            fit([F1Score::new().threshold(-0.5)]),
            "fit: f1_score: threshold is -0.5; it must be from 0 to 1",
        ),
        (
            fit([TopKCategoricalAccuracy::new().k(0)]),
            "fit: top_k_categorical_accuracy: k is 0; it is at least 1",
        ),
        (
            fit([AUC::new().num_thresholds(1)]),
            "fit: auc: num_thresholds is 1; it must be from 2 to 16777216",
        ),
        (
            fit((Accuracy, Precision::new(), Precision::new().class_id(1))),
            "fit: two numbers would be called `precision`; give a metric another name with named, or an \
             output layer with name",
        ),
    ] {
        refused(fitted, ErrorKind::Training, sentence);
    }
    // No `fit` before it.
    let model = classifier().into_model();
    let mut model =
        model.compile(Adam::default(), CategoricalCrossentropy, [AUC::new().num_thresholds(0)]);
    refused(
        model.evaluate(&inputs(), &one_hot()),
        ErrorKind::Training,
        "evaluate: auc: num_thresholds is 0; it must be from 2 to 16777216",
    );
    let two = (Precision::new(), Precision::new().class_id(1).named("precision_1"));
    assert_eq!(fit(two).unwrap().history["precision_1"].len(), 1);
}

#[test]
fn batches_that_make_no_step() {
    fit_refused(
        silent().gradient_accumulation_steps(0),
        "fit: gradient_accumulation_steps is 0; it is at least 1",
    );
}

#[test]
fn weights_of_classes_that_make_no_sense() {
    fit_refused(
        silent().class_weight([(1, 2.0), (4, 2.0)]),
        "fit: class_weight names class 4, the model has 4 classes; they are counted from 0",
    );
    fit_refused(
        silent().class_weight([(1, 2.0), (1, 3.0)]),
        "fit: class_weight names class 1 twice; give it one weight",
    );
    fit_refused(
        silent().class_weight([(1, -1.0)]),
        "fit: class_weight of class 1 is -1; it must be at least 0 and finite",
    );
    let x = Input::new(3);
    let class = || x.apply(Dense::new(4).activation(Softmax)).unwrap();
    let model = Model::new(&x, [&class(), &class()]).unwrap();
    let mut model = model.compile(Adam::default(), CategoricalCrossentropy, ());
    let labels = one_hot();
    refused(
        model.fit(&inputs(), [labels.view(), labels.view()], silent().class_weight([(1, 2.0)])),
        ErrorKind::Training,
        "fit: class_weight is for models with one output, this one has 2; give the samples weights \
         with Weighted",
    );
}

#[test]
fn losses_that_are_not_those_of_the_outputs() {
    use convnet::losses::IntoLosses;
    fn evaluate(losses: impl IntoLosses, weights: Option<&[f64]>) -> convnet::Result<()> {
        let x = Input::new(3);
        let label = x.apply(Dense::new(4).activation(Softmax).name("label")).unwrap();
        let size = x.apply(Dense::new(4).name("size")).unwrap();
        let model = Model::new(&x, [&label, &size]).unwrap();
        let mut model = model.compile(Adam::default(), losses, ());
        if let Some(weights) = weights {
            model = model.loss_weights(weights);
        }
        let labels = one_hot();
        model.evaluate(&inputs(), [labels.view(), labels.view()]).map(|_| ())
    }
    let (label, size) = (CategoricalCrossentropy, MeanSquaredError);
    let end = "the model's outputs are label, size; give a loss for each";
    for (result, sentence) in [
        (evaluate([label], None), format!("got 1 loss for 2 outputs; {end}")),
        (evaluate((label, size, size), None), format!("got 3 losses for 2 outputs; {end}")),
        (
            evaluate((("label", label), ("sizes", size)), None),
            format!("there is a loss for `sizes`; {end}"),
        ),
        (
            evaluate((("label", label), ("label", size)), None),
            format!("there is no loss for `size`; {end}"),
        ),
        (
            evaluate((("label", label), size), None),
            format!("some losses have the name of an output and some have none; {end}"),
        ),
        (
            evaluate((label, size), Some(&[1.0])),
            "loss_weights has 1 number, the model has 2 outputs; give one for each".to_string(),
        ),
        (
            evaluate((label, size), Some(&[1.0, -0.5])),
            "loss_weights holds -0.5; each must be at least 0 and finite".to_string(),
        ),
    ] {
        refused(result, ErrorKind::Training, &format!("evaluate: {sentence}"));
    }
    // `fit` looks at other things first.
    let model = classifier().into_model();
    let model = model.compile(Adam::default(), [label, label], [Accuracy]);
    refused(
        model.loss_weights([]).fit(&inputs(), &one_hot(), silent()),
        ErrorKind::Training,
        "fit: got 2 losses for 1 output; the model's outputs are dense; give a loss for each",
    );
    assert!(evaluate((("size", size), ("label", label)), Some(&[1.0, 0.0])).is_ok());
    assert!(evaluate(size, None).is_ok());
}

#[test]
fn a_metric_of_an_output_that_is_not_there() {
    let model = classifier().into_model();
    let mut model = model.compile(Adam::default(), CategoricalCrossentropy, [("label", Accuracy)]);
    refused(
        model.fit(&inputs(), &one_hot(), silent()),
        ErrorKind::Training,
        "fit: there is a metric for `label`; the model's outputs are dense",
    );
}
