//! CIFAR-10's binary version: what is read, and files that are cut off or not of that kind.

use std::fs;
use std::path::Path;

use convnet::datasets::cifar10::{self, Cifar10};
use convnet::prelude::*;
use convnet::{ErrorKind, Shape};
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// A byte of the image of this number: other in every channel, row and column.
fn byte(image: usize, channel: usize, row: usize, column: usize) -> u8 {
    (image * 31 + channel * 97 + row * 7 + column * 3) as u8
}

/// Records of these images, of class `image % 10`.
fn records(images: std::ops::Range<usize>) -> Vec<u8> {
    let record = |image| {
        let planes = (0..3 * 1024).map(move |i| byte(image, i / 1024, i % 1024 / 32, i % 32));
        std::iter::once(image as u8 % 10).chain(planes)
    };
    images.flat_map(record).collect()
}

/// Six files, of 4, 3, 4, 3, 4 and 5 images.
fn dataset() -> TempDir {
    let directory = tempdir().unwrap();
    let ends = [0, 4, 7, 11, 14, 18, 23];
    for (i, name) in FILES.iter().enumerate() {
        fs::write(directory.path().join(name), records(ends[i]..ends[i + 1])).unwrap();
    }
    directory
}

fn image(part: &Cifar10, index: usize) -> Vec<f32> {
    let mut image = vec![f32::NAN; part.shape().size()];
    part.load(index, None, &mut image).unwrap();
    image
}

#[test]
fn records_of_all_files_are_read() {
    let directory = dataset();
    let (train, test) = cifar10::open(&directory).unwrap();
    for (part, images) in [(&train, 0..18), (&test, 18..23)] {
        assert_eq!(part.len(), images.len());
        assert_eq!(part.shape(), Shape::from([32, 32, 3]));
        let classes: Vec<u32> = images.clone().map(|image| image as u32 % 10).collect();
        assert_eq!(part.labels().numbers(), classes);
        for (index, number) in images.enumerate() {
            let image = image(part, index);
            for (i, &value) in image.iter().enumerate() {
                let byte = byte(number, i % 3, i / 96, i / 3 % 32);
                assert_eq!(value, f32::from(byte) / 255.0, "image {number}, value {i}");
            }
        }
    }
    assert_eq!(cifar10::CLASS_NAMES[5], "dog");
}

#[test]
fn a_network_trains_on_it() {
    let directory = dataset();
    let (train, test) = cifar10::open(&directory).unwrap();
    let image = Input::new(train.shape());
    let class = image.apply(AveragePooling2D::new(8)).unwrap();
    let class = class.apply(Flatten::new()).unwrap();
    let class = class.apply(Dense::new(10).activation(Softmax)).unwrap();
    let model = Model::new(&image, &class).unwrap();
    let mut model = model.compile(Adam::new(0.01), CategoricalCrossentropy, [Accuracy]);
    let fit = Fit::new().epochs(20).batch_size(4).verbose(Verbose::Silent);
    let history = model.fit(&train, train.labels(), fit).unwrap();
    assert!(history.history["loss"][19] < 0.7 * history.history["loss"][0]);
    assert_eq!(model.predict(&test).unwrap().shape(), [5, 10]);
    assert!(model.evaluate(&test, test.labels()).unwrap()["loss"].is_finite());
}

#[track_caller]
fn refused(directory: &Path, words: &str) {
    let error = cifar10::open(directory).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File);
    assert!(error.to_string().contains(words), "{error}\nwanted: {words}");
}

#[test]
fn files_that_are_missing_cut_off_or_foreign() {
    let directory = dataset();
    let path = directory.path().join(FILES[2]);
    let whole = fs::read(&path).unwrap();
    for (bytes, words) in [
        (&whole[..whole.len() - 1], "data_batch_3.bin: holds 12291 bytes; wanted records of 3073"),
        (&[], "data_batch_3.bin: holds 0 bytes"),
        (b"\x1f\x8b a gzip file, perhaps", "holds 23 bytes"),
    ] {
        fs::write(&path, bytes).unwrap();
        refused(directory.path(), words);
    }
    let mut foreign = whole.clone();
    foreign[3 * 3073] = 10;
    fs::write(&path, &foreign).unwrap();
    refused(directory.path(), "data_batch_3.bin: record 3 has the class 10; wanted one of 0..10");
    fs::remove_file(&path).unwrap();
    fs::remove_file(directory.path().join(FILES[5])).unwrap();
    refused(directory.path(), " lacks data_batch_3.bin, test_batch.bin");
    fs::create_dir(&path).unwrap();
    refused(directory.path(), " lacks data_batch_3.bin, test_batch.bin");
    refused(&directory.path().join("none"), "none cannot be read: ");
}

#[test]
fn a_file_that_is_cut_off_later_ends_the_training() {
    let directory = dataset();
    let (train, _) = cifar10::open(&directory).unwrap();
    fs::write(directory.path().join(FILES[1]), records(4..5)).unwrap();
    let image = Input::new(train.shape());
    let class = image.apply(Flatten::new()).unwrap();
    let class = class.apply(Dense::new(10).activation(Softmax)).unwrap();
    let model = Model::new(&image, &class).unwrap();
    let mut model = model.compile(Adam::default(), CategoricalCrossentropy, ());
    let fit = Fit::new().shuffle(false).verbose(Verbose::Silent);
    let error = model.fit(&train, train.labels(), fit).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File);
    let sentence = error.to_string();
    assert!(sentence.starts_with("fit: sample 5 of the inputs: "), "{sentence}");
    assert!(sentence.contains("data_batch_2.bin: cannot be read: "), "{sentence}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..9300)) {
        let directory = dataset();
        fs::write(directory.path().join(FILES[0]), &bytes).unwrap();
        match cifar10::open(&directory) {
            Ok((train, _)) => {
                prop_assert_eq!(train.len(), bytes.len() / 3073 + 14);
                image(&train, 0);
            }
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::File),
        }
    }
}
