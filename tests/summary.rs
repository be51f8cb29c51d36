//! `summary()` against the tables that Keras prints, in fixtures/summary.

use convnet::prelude::*;
use ndarray::{Array2, Array4};

/// Whether the summary is this file, line by line so that a failure shows the line.
macro_rules! assert_table {
    ($summary:expr, $file:literal) => {
        let found = $summary.to_string();
        let wanted = include_str!(concat!("../fixtures/summary/", $file, ".txt"));
        for (found, wanted) in found.lines().zip(wanted.lines()) {
            assert_eq!(found, wanted);
        }
        assert_eq!(format!("{found}\n"), wanted);
    };
}

/// The model after one step of training on one image of this height and width.
fn fitted(model: Model, [h, w, c]: [usize; 3]) -> convnet::Result<CompiledModel> {
    let mut model = model.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]);
    let label = Array2::from_shape_fn((1, 10), |(_, class)| if class == 0 { 1.0 } else { 0.0 });
    model.train_on_batch(&Array4::<f32>::ones((1, h, w, c)), &label, 0)?;
    Ok(model)
}

#[test]
fn lenet5() -> convnet::Result<()> {
    let image = Input::new([28, 28, 1]);
    let model = Model::new(&image, models::lenet5(&image, 10)?)?;
    assert_table!(model.summary(), "lenet5_80_new");
    assert_table!(model.summary().line_length(88), "lenet5_120_new");
    let model = fitted(model, [28, 28, 1])?;
    assert_table!(model.summary(), "lenet5_80_fitted");
    assert_table!(model.summary().line_length(88), "lenet5_120_fitted");
    Ok(())
}

#[test]
fn fashion_cnn() -> convnet::Result<()> {
    let image = Input::new([28, 28, 1]);
    let model = Model::new(&image, models::fashion_cnn(&image, 10)?)?;
    assert_table!(model.summary(), "fashion_cnn_80_new");
    assert_table!(model.summary().line_length(88), "fashion_cnn_120_new");
    let model = fitted(model, [28, 28, 1])?;
    assert_table!(model.summary(), "fashion_cnn_80_fitted");
    Ok(())
}

#[test]
fn branches() -> convnet::Result<()> {
    let image = Input::new([8, 8, 3]);
    let stem = image.apply(Conv2D::new(4, 3).padding(Same).activation(Relu))?;
    let left = stem.apply(Conv2D::new(4, 3).padding(Same))?;
    let right = stem.apply(Conv2D::new(4, 1))?;
    let sum = [stem, left].apply(Add::new())?;
    let class = [sum, right]
        .apply(Concatenate::new())?
        .apply(Relu)?
        .apply(AveragePooling2D::new(2))?
        .apply(Flatten::new())?
        .apply(Dense::new(10).activation(Softmax))?;
    let model = Model::new(&image, class)?;
    assert_table!(model.summary(), "branches_80_new");
    assert_table!(model.summary().line_length(108), "branches_120_new");
    let model = fitted(model, [8, 8, 3])?;
    assert_table!(model.summary(), "branches_80_fitted");
    Ok(())
}

#[test]
fn a_model_before_its_first_step_has_no_optimizer_params() -> convnet::Result<()> {
    let image = Input::new([28, 28, 1]);
    let model = Model::new(&image, models::lenet5(&image, 10)?)?;
    let model = model.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]);
    assert_table!(model.summary(), "lenet5_80_new");
    Ok(())
}

#[test]
fn long_names_two_inputs_and_two_outputs() -> convnet::Result<()> {
    let photograph = Input::new([32, 32, 3]).name("photograph_of_the_article");
    let measurements = Input::new(7).name("measurements");
    let x = photograph
        .apply(Conv2D::new(8, 3).name("first_convolution_of_the_photograph"))?
        .apply(MaxPool2D::new(2).name("pool"))?
        .apply(Flatten::new().name("flat"))?;
    let y = measurements.apply(Dense::new(16).name("all the measurements, mixed"))?;
    let x = [x, y].apply(Concatenate::new().name("photograph_and_measurements"))?;
    let kind = x.apply(Dense::new(10).activation(Softmax).name("kind"))?;
    let price = x
        .apply(Dense::new(64).activation(Relu).name("hidden"))?
        .apply(Dense::new(1).name("price"))?;
    let model = Model::new([photograph, measurements], [kind, price])?;
    assert_table!(model.summary(), "long_names_80");
    Ok(())
}

#[test]
fn long_names_and_shapes_in_a_chain() -> convnet::Result<()> {
    let image = Input::new([128, 128, 3]).name("photograph_of_the_article");
    let x = image.apply(Conv2D::new(8, 3).name("first_convolution_of_the_photograph"))?;
    let model = Model::new(&image, x.apply(Flatten::new().name("flat"))?)?;
    assert_table!(model.summary().line_length(50), "long_names_in_a_chain_54");
    Ok(())
}

#[test]
fn the_narrowest_table_keeps_its_width() -> convnet::Result<()> {
    let image = Input::new([28, 28, 1]);
    let chain = Model::new(&image, models::lenet5(&image, 10)?)?;
    let branches = Model::new(&image, [&image, &image].apply(Add::new())?)?;
    for model in [chain, branches] {
        let table = model.summary().line_length(0).to_string();
        let mut rows = table.lines().filter(|line| line.starts_with('│'));
        assert!(rows.all(|row| row.chars().count() == 40), "{table}");
    }
    Ok(())
}
