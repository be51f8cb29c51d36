//! Folders of photographs: what is read, what is refused by name, and training on them. The pictures
//! are drawn here.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Parser;
use convnet::datasets::{ImageFolder, Photos};
use convnet::prelude::*;
use convnet::preprocessing::{Augmented, Resized};
use convnet::{ErrorKind, Result};
use jpeg_encoder::{ColorType as JpegColor, Encoder};
use ndarray::Array4;
use tempfile::{TempDir, tempdir};

#[path = "../examples/image_folder.rs"]
#[allow(dead_code)]
mod example;

/// A picture `(height, width, 3)`.
struct Drawing {
    size: [usize; 2],
    pixels: Vec<u8>,
}

/// A drawing whose pixels are a smooth function of their place.
fn drawing(size: [usize; 2], colour: [u8; 3]) -> Drawing {
    let [height, width] = size;
    let pixels = (0..height * width).flat_map(|i| {
        let light = 128 + 100 * (i / width) / height + 27 * (i % width) / width;
        colour.map(|c| (usize::from(c) * light / 255) as u8)
    });
    Drawing { size, pixels: pixels.collect() }
}

fn png(
    color: png::ColorType,
    depth: png::BitDepth,
    [height, width]: [usize; 2],
    data: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == png::ColorType::Indexed {
        encoder.set_palette((0..=255).flat_map(|i| [i, 255 - i, 7]).collect::<Vec<u8>>());
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

impl Drawing {
    fn png(&self) -> Vec<u8> {
        png(png::ColorType::Rgb, png::BitDepth::Eight, self.size, &self.pixels)
    }

    fn jpeg(&self, progressive: bool) -> Vec<u8> {
        let [height, width] = self.size.map(|side| side as u16);
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 95);
        encoder.set_progressive(progressive);
        encoder.encode(&self.pixels, width, height, JpegColor::Rgb).unwrap();
        bytes
    }
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// Two classes of ten pictures each, of several sizes, PNG and JPEG: red ones and blue ones.
fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    for i in 0..10 {
        let size = [20 + 3 * i, 40 - 2 * i];
        let [red, blue] = [[250, 40, 30], [30, 40, 250]].map(|colour| drawing(size, colour));
        write(&folder, &format!("red/{i}.png"), &red.png());
        write(&folder, &format!("blue/deeper/{i}.JPG"), &blue.jpeg(i % 2 == 0));
    }
    write(&folder, "red/notes.txt", b"passed over");
    write(&folder, "red/.hidden.png", b"passed over");
    write(&folder, ".git/a.png", b"passed over");
    write(&folder, "readme.png", b"passed over: in no class");
    folder
}

fn image(photos: &Photos, index: usize) -> Vec<f32> {
    let mut image = vec![f32::NAN; photos.shape().size()];
    photos.load(index, None, &mut image).unwrap();
    image
}

fn options(folder: &TempDir) -> ImageFolder {
    ImageFolder::new(folder.path()).image_size((16, 12))
}

#[track_caller]
fn refused<T>(result: Result<T>, words: &[&str]) {
    let Err(error) = result else { panic!("should be refused: {words:?}") };
    assert_eq!(error.kind(), ErrorKind::File);
    for words in words {
        assert!(error.to_string().contains(words), "{error}\nwanted: {words}");
    }
}

#[test]
fn classes_are_folders_and_images_are_mixed() {
    let folder = folder();
    let photos = options(&folder).open().unwrap();
    assert_eq!(photos.class_names(), ["blue", "red"]);
    assert_eq!(photos.shape(), [16, 12, 3].into());
    assert_eq!((photos.len(), photos.labels().len()), (20, 20));
    assert!(photos.skipped().is_empty());
    let mut paths: Vec<PathBuf> = (0..20).map(|i| photos.path(i)).collect();
    for (path, &class) in paths.iter().zip(photos.labels().numbers()) {
        assert_eq!(path.starts_with(folder.path().join("red")), class == 1);
    }
    assert!(!photos.labels().numbers().is_sorted(), "classes are mixed");
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), 20);

    let order = |seed| {
        let photos = options(&folder).seed(seed).open().unwrap();
        (0..20).map(|i| photos.path(i)).collect::<Vec<_>>()
    };
    assert_eq!(order(3), order(3));
    assert_ne!(order(3), order(4));
}

#[test]
fn pixels_are_those_that_were_drawn() {
    let folder = folder();
    let photos = options(&folder).open().unwrap();
    for index in 0..20 {
        let path = photos.path(index);
        let number: usize = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let red = photos.labels().numbers()[index] == 1;
        let colour = if red { [250, 40, 30] } else { [30, 40, 250] };
        let drawn = drawing([20 + 3 * number, 40 - 2 * number], colour);
        let [height, width] = drawn.size;
        let array = Array4::from_shape_vec((1, height, width, 3), drawn.pixels).unwrap();
        let resized = Resized::new(&array, (16, 12)).unwrap();
        let mut expected = vec![0.0; 16 * 12 * 3];
        resized.load(0, None, &mut expected).unwrap();
        // JPEG loses a little.
        let tolerance = if red { 1e-6 } else { 0.03 };
        for (found, expected) in image(&photos, index).iter().zip(&expected) {
            assert!((found - expected / 255.0).abs() < tolerance, "{}", path.display());
        }
    }
}

/// A folder of this file and a red square, and the image of the file, 1×2.
fn one(name: &str, bytes: &[u8]) -> Vec<f32> {
    let folder = tempdir().unwrap();
    let path = write(&folder, &format!("a/{name}"), bytes);
    write(&folder, "b/red.png", &drawing([4, 4], [255, 0, 0]).png());
    let photos = ImageFolder::new(folder.path()).image_size((1, 2)).open().unwrap();
    let index = (0..2).find(|&i| photos.path(i) == path).unwrap();
    image(&photos, index).iter().map(|value| (value * 255.0).round()).collect()
}

#[test]
fn every_kind_of_png_and_grey_jpegs_become_red_green_and_blue() {
    use png::{BitDepth, ColorType};
    let size = [1, 2];
    for (color, depth, data, expected) in [
        (ColorType::Rgb, BitDepth::Eight, vec![1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
        (ColorType::Rgba, BitDepth::Eight, vec![1, 2, 3, 0, 4, 5, 6, 9], [1, 2, 3, 4, 5, 6]),
        (ColorType::Grayscale, BitDepth::Eight, vec![7, 200], [7, 7, 7, 200, 200, 200]),
        (ColorType::Grayscale, BitDepth::One, vec![0b0100_0000], [0, 0, 0, 255, 255, 255]),
        (ColorType::GrayscaleAlpha, BitDepth::Eight, vec![7, 0, 9, 1], [7, 7, 7, 9, 9, 9]),
        (ColorType::Indexed, BitDepth::Eight, vec![3, 9], [3, 252, 7, 9, 246, 7]),
        (ColorType::Grayscale, BitDepth::Sixteen, vec![7, 255, 9, 0], [7, 7, 7, 9, 9, 9]),
    ] {
        let found = one("a.png", &png(color, depth, size, &data));
        assert_eq!(found, expected.map(|value| value as f32), "{color:?} {depth:?}");
    }
    let mut grey = Vec::new();
    Encoder::new(&mut grey, 100).encode(&[100; 64], 8, 8, JpegColor::Luma).unwrap();
    assert_eq!(one("a.jpg", &grey), [100.0; 6]);
    // A name is not believed.
    let square = drawing([4, 4], [200, 10, 20]);
    assert_eq!(one("a.jpg", &square.png()), one("a.png", &square.png()));
}

#[test]
fn crops_keep_the_ratio_and_antialias_smooths() {
    let folder = tempdir().unwrap();
    // A white middle, black left and right.
    let stripes: Vec<u8> = (0..10 * 30)
        .flat_map(|i| [if (10..20).contains(&(i % 30)) { 255 } else { 0 }; 3])
        .collect();
    let wide = Drawing { size: [10, 30], pixels: stripes };
    write(&folder, "a/wide.png", &wide.png());
    write(&folder, "b/wide.png", &wide.png());
    let image_of = |options: ImageFolder| image(&options.open().unwrap(), 0);
    let options = || ImageFolder::new(folder.path()).image_size(5);
    assert!(image_of(options()).contains(&0.0));
    assert!(image_of(options().crop_to_aspect_ratio(true)).iter().all(|&value| value == 1.0));
    let one = || ImageFolder::new(folder.path()).image_size(1);
    assert_eq!(image_of(one()), [1.0; 3], "the middle alone");
    let smooth = image_of(one().antialias(true))[0];
    assert!((0.3..0.7).contains(&smooth), "{smooth}");
}

/// The unreadable files of [`with_bad`] and what is said of them.
const BAD: [(&str, &str); 9] = [
    ("blue/bomb.png", "claims to be 30000×30000; wanted at least one pixel and at most 67108864"),
    ("blue/cut.jpg", "is a broken JPEG: "),
    ("blue/cut_progressive.jpg", "is a broken JPEG: "),
    ("blue/damaged.jpg", "is a broken JPEG: the decoder panicked"),
    ("blue/huge.jpg", "claims to be 65500×65500; wanted at least one pixel and at most 67108864"),
    ("red/cut.png", "is a broken PNG: "),
    ("red/empty.png", "is empty"),
    ("red/hollow.png", "claims to be 8000×8000, which its "),
    ("red/moving.gif", "is neither PNG nor JPEG"),
];

/// The folder with unreadable files in it.
fn with_bad() -> TempDir {
    let folder = folder();
    let drawing = drawing([64, 64], [200, 100, 0]);
    let [whole, jpeg] = [drawing.png(), drawing.jpeg(false)];
    let claims = |mut png: Vec<u8>, side: u32| {
        // Width and height in the header, and its checksum.
        png[16..20].copy_from_slice(&side.to_be_bytes());
        png[20..24].copy_from_slice(&side.to_be_bytes());
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        png
    };
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    let mut huge = jpeg.clone();
    // Height and width in the frame header.
    huge[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    write(&folder, "blue/bomb.png", &claims(whole.clone(), 30_000));
    write(&folder, "blue/cut.jpg", &jpeg[..jpeg.len() * 2 / 3]);
    let progressive = drawing.jpeg(true);
    write(&folder, "blue/cut_progressive.jpg", &progressive[..progressive.len() / 2]);
    // zune-jpeg 0.5.15 panics on it.
    let damaged = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/damaged.jpg");
    write(&folder, "blue/damaged.jpg", &fs::read(damaged).unwrap());
    write(&folder, "blue/huge.jpg", &huge);
    write(&folder, "red/cut.png", &whole[..whole.len() * 2 / 3]);
    write(&folder, "red/empty.png", b"");
    write(&folder, "red/hollow.png", &claims(whole, 8_000));
    write(&folder, "red/moving.gif", b"GIF89a");
    folder
}

/// The checksum of PNG's chunks, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

#[test]
fn unreadable_files_are_listed_by_name() {
    let folder = with_bad();
    let error = options(&folder).open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File);
    let sentence = error.to_string();
    let shown = folder.path().display();
    let start = format!("image folder {shown}: 9 of 29 images are unreadable: {shown}/blue/bomb");
    assert!(sentence.starts_with(&start), "{sentence}");
    assert!(sentence.ends_with("; remove them, or go on without them with skip_bad(true)"));
    for (name, fault) in BAD {
        let words = format!("{} {fault}", folder.path().join(name).display());
        assert!(sentence.contains(&words), "{sentence}\nwanted: {words}");
    }

    for i in 0..30 {
        write(&folder, &format!("red/more{i:02}.png"), b"");
    }
    refused(options(&folder).open(), &["39 of 59 images", "more11.png is empty, and 19 more; "]);
}

#[test]
fn the_example_names_its_own_flag() {
    let folder = with_bad();
    let options = example::Options::parse_from([Path::new("image_folder"), folder.path()]);
    let sentence = options.open(folder.path()).unwrap_err().to_string();
    assert!(sentence.ends_with("or go on without them with --skip-bad"), "{sentence}");
}

#[test]
fn skip_bad_goes_on_without_them() {
    let folder = with_bad();
    let photos = options(&folder).skip_bad(true).open().unwrap();
    assert_eq!(photos.len(), 20);
    let skipped: Vec<PathBuf> = photos.skipped().iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(skipped, BAD.map(|(name, _)| folder.path().join(name)));
    for ((_, fault), (_, wanted)) in photos.skipped().iter().zip(BAD) {
        assert!(fault.starts_with(wanted), "{fault}");
    }
    (0..20).for_each(|index| drop(image(&photos, index)));
}

#[test]
fn folders_that_are_none() {
    let folder = folder();
    let refuses = |path: &Path, words: &str| {
        refused(ImageFolder::new(path).open(), &[words]);
    };
    refuses(&folder.path().join("none"), "none cannot be read: ");
    refuses(&folder.path().join("readme.png"), "readme.png cannot be read: ");
    refuses(
        &folder.path().join("red"),
        "red: has 0 sub-folders; wanted one for each of at least two",
    );
    refuses(
        &folder.path().join("blue"),
        "blue: has 1 sub-folder; wanted one for each of at least two",
    );
    refused(options(&folder).image_size((0, 5)).open(), &["the image size is 0×5; it is at least"]);
    refused(
        options(&folder).image_size(1 << 40).open(),
        &[
            "no image of 1099511627776×1099511627776 in colour fits in memory; choose a smaller size",
        ],
    );
    fs::create_dir(folder.path().join("green")).unwrap();
    refused(options(&folder).open(), &["the class `green` has no image; add some or remove its"]);
    write(&folder, "green/a.png", b"");
    refused(
        options(&folder).skip_bad(true).open(),
        &["the class `green` has no image that is readable; add some or remove its folder"],
    );
}

fn classifier(photos: &Photos) -> CompiledModel {
    let image = Input::new(photos.shape());
    let class = image.apply(Conv2D::new(4, 3).activation(Relu)).unwrap();
    let class = class.apply(Flatten::new()).unwrap();
    let class = class.apply(Dense::new(2).activation(Softmax)).unwrap();
    let model = Model::new(&image, &class).unwrap();
    model.compile(Adam::new(0.01), CategoricalCrossentropy, [Accuracy])
}

#[test]
fn a_network_learns_the_colours_on_any_number_of_threads() {
    let folder = folder();
    let photos = options(&folder).open().unwrap();
    let augmented = Augmented::new(&photos).unwrap().horizontal_flip(true).shift(2);
    let train = || {
        let mut model = classifier(&photos);
        let fit = Fit::new().epochs(15).batch_size(4).validation_split(0.2);
        let fit = fit.verbose(Verbose::Silent);
        let history = model.fit(&augmented, photos.labels(), fit).unwrap();
        assert_eq!(history.history["val_accuracy"].last(), Some(&1.0));
        let score = model.evaluate(&photos, photos.labels()).unwrap();
        assert_eq!(score["accuracy"], 1.0);
        format!("{:?} {:?}", history.history, model.weights())
    };
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let alone = pool(1).install(train);
    assert!(pool(2).install(train) == alone);
    assert!(pool(5).install(train) == alone);
}

#[test]
fn a_file_that_vanishes_ends_the_training_with_its_name() {
    let folder = folder();
    let photos = options(&folder).open().unwrap();
    fs::remove_file(folder.path().join("red/4.png")).unwrap();
    File::create(folder.path().join("red/5.png")).unwrap();
    let fit = Fit::new().verbose(Verbose::Silent);
    let error = classifier(&photos).fit(&photos, photos.labels(), fit).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File);
    let sentence = error.to_string();
    let [start, vanished] = ["fit: sample ", "red/4.png cannot be read: "];
    let found = sentence.contains(vanished) || sentence.contains("red/5.png is empty");
    assert!(sentence.starts_with(start) && found, "{sentence}");
}
