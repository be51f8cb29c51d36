//! Scaling, standardisation, one-hot labels and back, and the data they refuse.

use convnet::preprocessing::{Augmented, MinMax, Resized, Standardize, argmax, to_categorical};
use convnet::{ErrorKind, Result};
use ndarray::{Array, Array1, Array2, Array4, ArrayD, Axis, IxDyn, array};
use proptest::prelude::*;

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains(words), "{error}\nwanted: {words}");
}

fn images() -> impl Strategy<Value = Array4<f32>> {
    (1_usize..4, 1_usize..4, 2_usize..5, 1_usize..4).prop_flat_map(|(n, h, w, c)| {
        prop::collection::vec(-100.0_f32..100.0, n * h * w * c)
            .prop_map(move |values| Array::from_shape_vec((n, h, w, c), values).unwrap())
    })
}

proptest! {
    #[test]
    fn standardised_channels_have_mean_0_and_deviation_1(x in images()) {
        let y = Standardize::fit(&x).unwrap().apply(&x).unwrap();
        for channel in y.axis_iter(Axis(3)) {
            prop_assert!(channel.mean().unwrap().abs() < 1e-4);
            prop_assert!((channel.std(0.0) - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn scaled_values_run_from_0_to_1(x in images()) {
        let y = MinMax::fit(&x).unwrap().apply(&x).unwrap();
        prop_assert_eq!(MinMax::fit(&y).unwrap(), MinMax { min: 0.0, max: 1.0 });
    }

    #[test]
    fn one_hot_and_back(labels in prop::collection::vec(0_usize..7, 1..20)) {
        let labels = Array1::from(labels);
        let rows = to_categorical(&labels, 7).unwrap();
        prop_assert_eq!(rows.sum_axis(Axis(1)), Array1::<f32>::ones(labels.len()));
        prop_assert_eq!(&argmax(&rows).unwrap(), &labels);
        // As predictions come.
        prop_assert_eq!(argmax(&rows.into_dyn()).unwrap(), labels);
    }
}

#[test]
fn views_and_all_kinds_of_numbers_are_taken_as_they_are() {
    let x = array![[0_u8, 10], [2, 30]];
    let transposed = Standardize::fit(&x.t()).unwrap();
    assert_eq!(transposed, Standardize { mean: vec![5.0, 16.0], std: vec![5.0, 14.0] });
    assert_eq!(transposed.apply(&x.t()).unwrap(), array![[-1.0, -1.0], [1.0, 1.0]]);
    let right = x.slice(ndarray::s![.., 1..]);
    assert_eq!(MinMax::fit(&right).unwrap(), MinMax { min: 10.0, max: 30.0 });
    assert_eq!(Standardize::fit(&x.mapv(f64::from).t()).unwrap(), transposed);
    assert_eq!(MinMax::fit(&right.mapv(i64::from)).unwrap(), MinMax { min: 10.0, max: 30.0 });
}

#[test]
fn nothing_to_scale() {
    refused(MinMax::fit(&Array2::<f32>::zeros((3, 2))), "every value is 0; wanted at least two");
    refused(MinMax::fit(&Array2::<f32>::zeros((0, 2))), "the array of shape [0, 2] is empty");
    refused(MinMax::fit(&array![0.0, f32::NAN]), "value 1 (counted from 0");
    // It was infinite, and what is between became NaN.
    refused(MinMax::fit(&array![f32::MIN, 1.0, f32::MAX]), "more than a float holds");
    let scaler = MinMax::fit(&array![0.0_f32, 1.0]).unwrap();
    refused(scaler.apply(&array![f32::INFINITY]), "is NaN or infinite");
    refused(scaler.apply(&Array1::<f32>::zeros(0)), "is empty");
}

#[test]
fn nothing_to_standardise() {
    // The mean of many equal values is not exact, so their deviation is not exactly 0.
    let mut x = Array2::from_elem((1000, 2), 0.1_f32);
    x[[0, 0]] = 1.0;
    refused(Standardize::fit(&x), "every value of channel 1 is 0.1");
    // Half of the smallest number there is.
    refused(Standardize::fit(&array![[0.0], [1e-45_f32]]), "deviation of channel 0 is too small");
    refused(Standardize::fit(&array![[f32::NAN]]), "is NaN or infinite");
    refused(Standardize::fit(&Array2::<u8>::zeros((2, 0))), "the array of shape [2, 0] is empty");
    refused(Standardize::fit(&ArrayD::<u8>::zeros(IxDyn(&[]))), "got a single number");
}

#[test]
fn another_number_of_channels() {
    let scaler = Standardize::fit(&array![[1_u8, 2], [3, 5]]).unwrap();
    refused(
        scaler.apply(&array![[1_u8, 2, 3]]),
        "got an array of shape [1, 3] with 3 channels; wanted 2",
    );
}

#[test]
fn labels_out_of_range() {
    refused(to_categorical(&array![0, 3], 3), "label 1 is 3; wanted a class of 0..3");
    refused(to_categorical(&array![-1_i64], 3), "label 0 is -1; wanted a class of 0..3");
    refused(to_categorical(&Array1::<u8>::zeros(0), 3), "there are no labels");
    refused(
        to_categorical(&array![0, 3], usize::MAX / 4),
        "no array of 2 rows and 4611686018427387903 classes fits in memory",
    );
}

#[test]
fn no_class_is_the_greatest() {
    refused(argmax(&array![[0.1, f32::NAN]]), "argmax: value 1");
    refused(argmax(&Array2::zeros((2, 0))), "argmax: the array of shape [2, 0] is empty");
    refused(
        argmax(&array![[[0.5]]]),
        "argmax: the array has the shape (1, 1, 1); give rows of (n, classes)",
    );
}

#[test]
fn sources_of_what_are_no_images() {
    let flat = Array2::<f32>::zeros((5, 784));
    refused(
        Resized::new(&flat, 32),
        "resized: the images have the shape (5, 784); wanted (n, height, width, channels), none of \
         them 0",
    );
    refused(Augmented::new(&Array4::<f32>::zeros((5, 0, 3, 1))), "augmented: the images have the");
    let images = Array4::<f32>::zeros((5, 4, 3, 1));
    refused(Resized::new(&images, (5, 0)), "resized: the size is 5×0; it is at least 1×1");
    let most = usize::MAX;
    refused(
        Resized::new(&images, (1, most)),
        &format!(
            "resized: no image of 1×{most} with 1 channels fits in memory; choose a smaller size"
        ),
    );
    let two = [images.view(), images.view()];
    refused(Augmented::new(two), "augmented: got 2 arrays; give one of images");
}
