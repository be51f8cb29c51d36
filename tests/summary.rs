//! `summary()` against the tables that Keras prints; fixtures/summary.py wrote them.

use convnet::prelude::*;
use ndarray::Array;

type Result = convnet::Result<()>;

/// Compares line by line, so that a failure shows the line.
#[track_caller]
fn assert_table(found: &str, wanted: &str) {
    for (found, wanted) in found.lines().zip(wanted.lines()) {
        assert_eq!(found, wanted);
    }
    assert_eq!(format!("{found}\n"), wanted);
}

#[test]
fn lenet5() -> Result {
    let image = Input::new([28, 28, 1]);
    let model = Model::new(&image, models::lenet5(&image, 10)?)?;
    assert_table(&model.summary().to_string(), include_str!("summary/lenet5.txt"));
    Ok(())
}

#[test]
fn an_optimizer_that_has_begun_is_counted() -> Result {
    let image = Input::new([28, 28, 1]);
    let model = Model::new(&image, models::lenet5(&image, 10)?)?;
    let mut model = model.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]);
    assert_table(&model.summary().to_string(), include_str!("summary/lenet5.txt"));
    let y = Array::from_shape_fn((1, 10), |(_, class)| if class == 0 { 1.0 } else { 0.0 });
    model.train_on_batch(&Array::<f32, _>::ones((1, 28, 28, 1)), &y, 0)?;
    assert_table(&model.summary().to_string(), include_str!("summary/trained.txt"));
    Ok(())
}

#[test]
fn fashion_cnn() -> Result {
    let image = Input::new([28, 28, 1]);
    let model = Model::new(&image, models::fashion_cnn(&image, 10)?)?;
    assert_table(&model.summary().to_string(), include_str!("summary/fashion_cnn.txt"));
    Ok(())
}

#[test]
fn branches() -> Result {
    let image = Input::new([112, 112, 3]);
    let x = image.apply(Conv2D::new(16, 3).padding(Same))?;
    let y = x.apply(Conv2D::new(16, 3).padding(Same))?;
    let x = [x, y].apply(Add::new())?;
    let left = x.apply(MaxPool2D::new(2))?;
    let right = x.apply(AveragePooling2D::new(2))?;
    let x = [left, right].apply(Concatenate::new())?.apply(Flatten::new())?;
    let model = Model::new(&image, x.apply(Dense::new(10).activation(Softmax))?)?;
    assert_table(&model.summary().to_string(), include_str!("summary/branches.txt"));
    Ok(())
}

#[test]
fn long_names() -> Result {
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
    assert_table(&model.summary().to_string(), include_str!("summary/long_names.txt"));
    Ok(())
}

#[test]
fn long_names_in_a_line() -> Result {
    let image = Input::new([128, 128, 3]).name("photograph_of_the_article");
    let x = image.apply(Conv2D::new(8, 3).name("first_convolution_of_the_photograph"))?;
    let model = Model::new(&image, x.apply(Flatten::new().name("flat"))?)?;
    let summary = model.summary().line_length(50).to_string();
    assert_table(&summary, include_str!("summary/long_names_in_a_line.txt"));
    Ok(())
}

#[test]
fn the_narrowest_table_still_has_its_width() -> Result {
    let image = Input::new([28, 28, 1]);
    let chain = Model::new(&image, models::lenet5(&image, 10)?)?;
    let branch = [&image, &image].apply(Add::new())?;
    for model in [chain, Model::new(&image, branch)?] {
        let table = model.summary().line_length(0).to_string();
        assert!(
            table.lines().filter(|line| line.starts_with('│')).all(|l| l.chars().count() == 24)
        );
    }
    Ok(())
}
