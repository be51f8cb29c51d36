//! Writes what the corpora began as: files that the crate, Keras, PyTorch and encoders wrote.

use std::fs;
use std::path::Path;

use convnet::datasets::idx;
use convnet_fuzz::{every_layer, folder, part, plain, saved, small, text_of, trainings};
use jpeg_encoder::{ColorType as JpegColour, Encoder};
use ndarray::{Axis, Slice};

fn main() {
    idx_files();
    images();
    for (name, model) in [("plain", plain()), ("small", small()), ("every_layer", every_layer())] {
        let bytes = saved(&model);
        write("config", &format!("{name}.json"), text_of(&bytes, "convnet").as_bytes());
        write("model_file", name, &bytes);
    }
    let history = r#"{"epoch":[0,1],"history":{"accuracy":[0.5,1.0],"loss":[1.5e-3,-0.0]}}"#;
    write("config", "history.json", history.as_bytes());

    write("weights_file", "ours", &saved(&plain()));
    let theirs = fixture("plain.theirs.safetensors");
    write("weights_file", "theirs", &theirs);

    for (place, name) in ["plain", "small", "every_layer"].into_iter().enumerate() {
        let keras = fixture(&format!("{name}.keras"));
        let of = place.min(1) as u8 * 3;
        let config = part(&keras, "config.json");
        write("keras_file", &format!("{name}.config"), &[&[of + 1], &config[..]].concat());
        if place < 2 {
            write("keras_file", &format!("{name}.keras"), &[&[0], &keras[..]].concat());
            let weights = part(&keras, "model.weights.h5");
            write("keras_file", &format!("{name}.h5"), &[&[of + 2], &weights[..]].concat());
        }
    }
    let weights = fixture("plain.weights.h5");
    write("keras_file", "plain.weights.h5", &[&[0], &weights[..]].concat());

    for batches in 2..=7 {
        let backup = trainings::backup(batches);
        let text = text_of(&backup, trainings::KEY);
        write("backup", &format!("{batches}"), &[&[0], &backup[..]].concat());
        write("backup", &format!("{batches}.json"), &[&[1], text.as_bytes()].concat());
    }
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), bytes).expect("a file");
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/exchange");
    fs::read(folder.join(name)).expect("a fixture")
}

/// The beginnings of Fashion-MNIST's files, and other ranks.
fn idx_files() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/fashion-mnist-sample");
    let folder = folder();
    for (name, n) in [("t10k-images-idx3-ubyte", 1), ("t10k-labels-idx1-ubyte", 20)] {
        let array = idx::read(data.join(format!("{name}.gz"))).expect("the sample");
        let part = array.slice_axis(Axis(0), Slice::from(..n));
        for ending in ["", ".gz"] {
            let path = folder.join(format!("{name}{ending}"));
            idx::write(&path, &part).expect("room for a file");
            write("idx", &format!("{name}{ending}"), &fs::read(path).expect("it was written"));
        }
    }
    write("idx", "empty", &[0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 9]);
    write("idx", "floats", &[0, 0, 0x0d, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
}

/// Every kind of PNG, and JPEGs.
fn images() {
    use png::{BitDepth, ColorType};
    let (width, height) = (9, 7);
    let kinds = [
        ("grey1", ColorType::Grayscale, BitDepth::One),
        ("grey4", ColorType::Grayscale, BitDepth::Four),
        ("grey8", ColorType::Grayscale, BitDepth::Eight),
        ("grey16", ColorType::Grayscale, BitDepth::Sixteen),
        ("grey_alpha8", ColorType::GrayscaleAlpha, BitDepth::Eight),
        ("rgb8", ColorType::Rgb, BitDepth::Eight),
        ("rgb16", ColorType::Rgb, BitDepth::Sixteen),
        ("rgba8", ColorType::Rgba, BitDepth::Eight),
        ("palette2", ColorType::Indexed, BitDepth::Two),
        ("palette8", ColorType::Indexed, BitDepth::Eight),
    ];
    for (name, colour, depth) in kinds {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if colour == ColorType::Indexed {
            encoder.set_palette((0..12).map(|i| i * 20).collect::<Vec<u8>>());
            encoder.set_trns(vec![0, 128, 255]);
        }
        let row = (width as usize * colour.samples() * depth as usize).div_ceil(8);
        let most = if colour == ColorType::Indexed && depth == BitDepth::Eight { 4 } else { 251 };
        let pixels: Vec<u8> = (0..row * height as usize).map(|i| (i * 37 % most) as u8).collect();
        let mut writer = encoder.write_header().expect("a header");
        writer.write_image_data(&pixels).expect("pixels");
        drop(writer);
        write("image", &format!("{name}.png"), &bytes);
    }
    let rgb: Vec<u8> = (0..16 * 16 * 3).map(|i| (i * 13 % 256) as u8).collect();
    for (name, progressive, sampling, restart) in [
        ("baseline", false, jpeg_encoder::SamplingFactor::F_1_1, None),
        ("sampled", false, jpeg_encoder::SamplingFactor::F_2_2, Some(1)),
        ("progressive", true, jpeg_encoder::SamplingFactor::F_2_1, None),
    ] {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 60);
        encoder.set_progressive(progressive);
        encoder.set_sampling_factor(sampling);
        if let Some(every) = restart {
            encoder.set_restart_interval(every);
        }
        encoder.encode(&rgb, 16, 16, JpegColour::Rgb).expect("pixels");
        write("image", &format!("{name}.jpg"), &bytes);
    }
    for (name, colour, channels) in [("grey", JpegColour::Luma, 1), ("cmyk", JpegColour::Cmyk, 4)] {
        let pixels: Vec<u8> = (0..8 * 9 * channels).map(|i| (i * 29 % 256) as u8).collect();
        let mut bytes = Vec::new();
        Encoder::new(&mut bytes, 50).encode(&pixels, 9, 8, colour).expect("pixels");
        write("image", &format!("{name}.jpg"), &bytes);
    }
}
