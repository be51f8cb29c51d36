//! The page of pictures: what is in it whatever the model and the data, and that nothing in it can run.

use std::fs;
use std::path::Path;

use convnet::prelude::*;
use convnet::report::Report;
use ndarray::{Array, Array1, Array2, Array4, Dimension, ShapeBuilder};

use crate::SECTIONS;

fn numbers<D: Dimension>(shape: impl ShapeBuilder<Dim = D>) -> Array<f32, D> {
    let mut seed = 7u32;
    Array::from_shape_simple_fn(shape, || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 24) as f32
    })
}

fn silent<'a>() -> Fit<'a> {
    Fit::new().verbose(Verbose::Silent)
}

/// The page in a folder, after the checks that hold for every page: all sections in order, nothing from
/// elsewhere, nothing that can run, no refreshing.
fn page(folder: &Path) -> String {
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    let places = SECTIONS.map(|id| page.find(&format!("<section id=\"{id}\">")).expect(id));
    assert!(places.is_sorted());
    assert!(!page.contains("http-equiv=\"refresh\""));
    inert(&page);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        match path.extension().unwrap().to_str().unwrap() {
            "html" => {}
            "png" => {
                let image = png::Decoder::new(std::io::Cursor::new(bytes)).read_info();
                assert!(image.unwrap().info().width > 4, "{}", path.display());
            }
            "svg" => inert(&String::from_utf8(bytes).unwrap()),
            _ => panic!("{}", path.display()),
        }
    }
    page
}

/// Looks at every tag and every attribute.
fn inert(page: &str) {
    let elsewhere = ["http://www.w3.org/2000/svg"];
    for tag in page.split('<').skip(1) {
        let tag = &tag[..tag.find('>').expect("every tag ends")];
        let name = tag.split([' ', '\n']).next().unwrap().trim_start_matches('/').to_lowercase();
        for forbidden in ["script", "iframe", "object", "embed", "foreignobject", "form", "base"] {
            assert_ne!(name, forbidden, "{tag}");
        }
        let mut quoted = tag.split('"');
        while let (Some(before), value) = (quoted.next(), quoted.next()) {
            let attribute = before.rsplit(' ').next().unwrap_or("").to_lowercase();
            assert!(!attribute.starts_with("on"), "{tag}");
            let value = value.unwrap_or("");
            if ["href=", "src=", "xmlns="].contains(&attribute.as_str()) {
                let known = value.starts_with("data:image/png;base64,") || value == "data:,";
                let known = known || value.starts_with('#') || elsewhere.contains(&value);
                assert!(known, "{attribute}{}", &value[..value.len().min(80)]);
            }
        }
    }
    if page.starts_with("<!DOCTYPE") {
        assert!(page.contains("Content-Security-Policy\" content=\"default-src 'none';"));
    }
}

/// A page of a model that is not trained.
fn of(model: &Model, report: Report<'_>, folder: &Path) -> String {
    report.write(model).unwrap();
    page(folder)
}

#[test]
fn a_training_is_followed_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let image = Input::new([12, 12, 1]);
    let class = models::fashion_cnn(&image, 3).unwrap();
    let model = Model::new(&image, &class).unwrap();
    let mut model = model.compile(Adam::new(0.01), CategoricalCrossentropy, [Accuracy]);
    let (x, y) = (numbers((60, 12, 12, 1)), Array1::from_shape_fn(60, |i| i % 3));
    let y = to_categorical(&y, 3).unwrap();

    /// Looks at the page while training goes on.
    struct Watch<'a>(&'a Path, Vec<String>);
    impl convnet::callbacks::Callback for Watch<'_> {
        fn on_epoch_end(
            &mut self,
            _: usize,
            _: &mut convnet::callbacks::Logs,
            _: &mut convnet::callbacks::Training<'_>,
        ) -> convnet::Result<()> {
            self.1.push(fs::read_to_string(self.0.join("report.html")).unwrap());
            assert_eq!(fs::read_dir(self.0).unwrap().count(), 1);
            Ok(())
        }
    }
    let mut watch = Watch(folder.path(), Vec::new());
    let mut stopping = EarlyStopping::new(Monitor::ValLoss).patience(2).restore_best_weights(true);
    let mut report = Report::new(folder.path())
        .title("A <b>title</b>")
        .classes(["<script>alert(1)</script>", "\" onload=\"x", "plain & simple"])
        .command("train --all")
        .seed(42)
        .samples(&x, &y);
    let fit = silent().epochs(30).validation_split(0.2).callback(&mut stopping);
    model.fit(&x, &y, fit.callback(&mut report).callback(&mut watch)).unwrap();
    for (epoch, seen) in watch.1.iter().enumerate() {
        assert!(seen.contains("http-equiv=\"refresh\""));
        assert!(seen.contains(&format!("{} of at most 30 epochs done", epoch + 1)));
        inert(seen);
    }
    assert_eq!(watch.1.len(), stopping.stopped_epoch().unwrap() + 1);
    // Over, and not looked at any further.
    let ended = page(folder.path());
    assert!(ended.contains("This comes when training is over."));

    report.early_stopping(&stopping);
    report.write(&model).unwrap();
    let page = page(folder.path());
    let (stopped, restored) =
        (stopping.stopped_epoch().unwrap() + 1, stopping.restored_epoch().unwrap() + 1);
    for wanted in [
        format!("stopped early after epoch {stopped}; the weights are those of epoch {restored}."),
        format!("stopped {stopped}\n"),
        format!("restored {restored}\n"),
        "<h1>A &lt;b&gt;title&lt;/b&gt;</h1>".to_string(),
        "&lt;script&gt;alert(1)&lt;/script&gt;".to_string(),
        "validation loss".to_string(),
        "<td>42</td>".to_string(),
        "<code>train --all</code>".to_string(),
        "(12 + 2·1 − 3)/1 + 1 = 12".to_string(),
    ] {
        assert!(page.contains(&wanted), "{wanted}");
    }
    for name in ["architecture", "curve-loss", "curve-accuracy", "learning-rate", "seconds"] {
        assert!(folder.path().join(format!("{name}.svg")).exists(), "{name}");
    }
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    for prefix in ["filters-0-", "maps-0-", "saliency-0-", "confusion.", "scores.", "mistakes."] {
        for suffix in [".svg", ".png"] {
            let found = names.iter().any(|n| n.starts_with(prefix) && n.ends_with(suffix));
            assert!(found, "{prefix}…{suffix} among {names:?}");
        }
    }
}

#[test]
fn without_validation_samples_or_convolutions() {
    let folder = tempfile::tempdir().unwrap();
    let x = Input::new(4);
    let y = x.apply(Dense::new(2).activation(Softmax)).unwrap();
    let model = Model::new(&x, &y).unwrap();
    let mut model = model.compile(SGD::new(0.1), SparseCategoricalCrossentropy, ());
    let mut report = Report::new(folder.path());
    let (x, y) = (numbers((10, 4)), Array1::from_shape_fn(10, |i| i as u8 % 2));
    model.fit(&x, &y, silent().epochs(2).callback(&mut report)).unwrap();
    report.write(&model).unwrap();
    let text = page(folder.path());
    for wanted in [
        "There were no validation data, so the curves are those of training alone.",
        "The model has no convolutions.",
        "The report was given no samples to judge the model by.",
        "The report was given no samples to look at.",
        "Trained for 2 epochs in ",
    ] {
        assert!(text.contains(wanted), "{wanted}");
    }
    // Rows of numbers have pictures too, and a model need not have been trained.
    let other = tempfile::tempdir().unwrap();
    let text = of(&model, Report::new(other.path()).samples(&x, &y), other.path());
    assert!(text.contains("The network as it is; this report has seen no training."));
    assert!(text.contains("Nothing was trained."));
    assert!(other.path().join("saliency-0-0.png").exists());
}

#[test]
fn a_thousand_classes_and_five_hundred_filters() {
    let folder = tempfile::tempdir().unwrap();
    let image = Input::new([6, 5, 4]);
    let y = image.apply(Conv2D::new(500, 3).activation(Relu)).unwrap();
    let y = y.apply(GlobalAveragePooling2D::new()).unwrap();
    let y = y.apply(Dense::new(1000).activation(Softmax)).unwrap();
    let model = Model::new(&image, &y).unwrap();
    let (x, y) = (numbers((1200, 6, 5, 4)), Array1::from_shape_fn(1200, |i| i as u32 % 1000));
    let text = of(&model, Report::new(folder.path()).samples(&x, &y), folder.path());
    for wanted in [
        "500 filters of 3×3, a column each, the first 16 of 500",
        "conv2d: 4 × 3 × 500, the first 64 of 500",
        "1000 classes, from the top left",
        "The 50 classes with the lowest F1 of 1000.",
    ] {
        assert!(text.contains(wanted), "{wanted}");
    }
    assert!(text.len() < 2_000_000, "{} bytes", text.len());
}

#[test]
fn branches_with_several_inputs_and_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (Input::new([6, 6, 3]).name("../../a \"<a>\""), Input::new([6, 6, 3]));
    let stem = [&a, &b].apply(Add::new()).unwrap();
    let left = stem.apply(Conv2D::new(4, 3).padding(Same).name("left <script>")).unwrap();
    let right = left.apply(Conv2D::new(4, 3).padding(Same)).unwrap();
    let joined = [&stem, &left, &right].apply(Concatenate::new()).unwrap();
    let y = joined.apply(Flatten::new()).unwrap().apply(Dense::new(2)).unwrap();
    let model = Model::new([&a, &b], [&y, &joined]).unwrap();
    let (x, labels) = (numbers((5, 6, 6, 3)), numbers((5, 2)));
    let report = Report::new(folder.path()).samples([x.view(), x.view()], &labels);
    let text = of(&model, report, folder.path());
    for wanted in [
        "The model has 2 outputs; a classifier has one.",
        "Saliency is that of a single output; the model has several.",
        "left &lt;script&gt;",
    ] {
        assert!(text.contains(wanted), "{wanted}");
    }
}

#[test]
fn a_single_probability_and_labels_that_are_no_classes() {
    let image = Input::new([4, 4, 1]);
    let y = image.apply(Flatten::new()).unwrap();
    let y = y.apply(Dense::new(1).activation(Sigmoid)).unwrap();
    let model = Model::new(&image, &y).unwrap();
    let x = numbers((20, 4, 4, 1));
    let folder = tempfile::tempdir().unwrap();
    let labels = Array2::from_shape_fn((20, 1), |(i, _)| (i % 2) as f32);
    let report = Report::new(folder.path()).classes(["no", "yes"]).samples(&x, &labels).show([3]);
    let text = of(&model, report, folder.path());
    assert!(text.contains("accuracy on 20 samples"));
    assert!(text.contains("Sample 3: yes; predicted: "));
    let heights = numbers((20, 1));
    let text = of(&model, Report::new(folder.path()).samples(&x, &heights), folder.path());
    assert!(text.contains("The labels are not classes of 2."));
}

/// As many numbers as the model gives, but no distribution over classes.
#[test]
fn labels_that_are_measures_or_several_classes_at_once_are_not_judged() {
    let image = Input::new([4, 4, 1]);
    let y = image.apply(Flatten::new()).unwrap().apply(Dense::new(3)).unwrap();
    let model = Model::new(&image, &y).unwrap();
    let x = numbers((20, 4, 4, 1));
    let page = |labels: &Array2<f32>| {
        let folder = tempfile::tempdir().unwrap();
        of(&model, Report::new(folder.path()).samples(&x, labels), folder.path())
    };
    let several = Array2::from_shape_fn((20, 3), |(i, class)| (i >> class & 1) as f32);
    let missing = Array2::from_elem((20, 3), f32::NAN);
    for labels in [numbers((20, 3)), several, missing] {
        let page = page(&labels);
        assert!(page.contains("The labels are not classes of 3."));
        assert!(!page.contains("accuracy on 20 samples"));
    }
    let smoothed = Array2::from_shape_fn((20, 3), |(i, class)| [0.8, 0.1, 0.1][(i + class) % 3]);
    assert!(page(&smoothed).contains("accuracy on 20 samples"));
}

#[test]
fn saliency_is_dark_where_a_pixel_does_not_count() {
    // The score is the sum of the left half of the image.
    let image = Input::new([4, 4, 1]);
    let y = image.apply(Flatten::new()).unwrap().apply(Dense::new(2)).unwrap();
    let mut model = Model::new(&image, &y).unwrap();
    let left = |pixel: usize| f32::from(u8::from(pixel % 4 < 2));
    let pictures = [left as fn(usize) -> f32, |_| 1.0].map(|kernel| {
        let kernel = Array2::from_shape_fn((16, 2), |(pixel, _)| kernel(pixel));
        model.set_weight("dense/kernel", &kernel).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (x, y) = (numbers((1, 4, 4, 1)), Array1::from_elem(1, 0u8));
        of(&model, Report::new(folder.path()).samples(&x, &y), folder.path());
        let file = fs::File::open(folder.path().join("saliency-0-0.png")).unwrap();
        let mut reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        // The gradient is the right one of two pictures; in the middle of its first and last pixel.
        let row = &pixels[..3 * info.width as usize];
        let at = |part: f64| {
            let pixel = (f64::from(info.width) * part) as usize;
            [0, 1, 2].map(|color| row[3 * pixel + color])
        };
        [at(0.5 + 1.0 / 16.0), at(1.0 - 1.0 / 16.0)]
    });
    let (dark, bright) = ([68, 1, 84], [254, 232, 37]);
    assert_eq!(pictures, [[bright, dark], [bright, bright]]);
}

#[test]
fn images_are_loaded_when_they_are_needed() {
    let folder = tempfile::tempdir().unwrap();
    let images = Array4::from_shape_fn((9, 5, 5, 3), |(n, ..)| n as f32);
    let resized = convnet::preprocessing::Resized::new(&images, 8).unwrap();
    let image = Input::new([8, 8, 3]);
    let y = image.apply(Conv2D::new(2, 3)).unwrap().apply(Flatten::new()).unwrap();
    let model = Model::new(&image, y.apply(Dense::new(9).activation(Softmax)).unwrap()).unwrap();
    let labels = Array1::from_shape_fn(9, |i| i as u8);
    let text = of(&model, Report::new(folder.path()).samples(&resized, &labels), folder.path());
    assert!(text.contains("Sample 2: 2"));
}

#[test]
fn a_training_that_is_resumed_has_all_its_epochs_on_the_page() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [backups, resumed, through] = folders.each_ref().map(|folder| folder.path());
    let (x, y) = (numbers((12, 5)), Array1::from_shape_fn(12, |n| n % 2));
    let trained = |epochs: usize, folder: &Path, backup: Option<BackupAndRestore>| {
        let input = Input::new(5);
        let class = input.apply(Dense::new(2).activation(Softmax)).unwrap();
        let model = Model::new(&input, &class).unwrap();
        let mut model = model.compile(Adam::new(0.1), SparseCategoricalCrossentropy, [Accuracy]);
        let mut report = Report::new(folder);
        let mut fit = silent().epochs(epochs).callback(&mut report);
        if let Some(backup) = backup {
            fit = fit.callback(backup);
        }
        model.fit(&x, &y, fit).unwrap();
        report.write(&model).unwrap();
        page(folder)
    };
    let backup = BackupAndRestore::new(backups);
    trained(2, resumed, Some(backup.clone().delete_checkpoint(false)));
    let resumed = trained(4, resumed, Some(backup));
    let through = trained(4, through, None);
    assert!(resumed.contains("Trained for 4 epochs"), "{resumed}");
    let curves = |page: &str| {
        let from = page.find("<section id=\"curves\">").unwrap();
        page[from..page.find("<section id=\"pace\">").unwrap()].to_string()
    };
    assert_eq!(curves(&resumed), curves(&through));
}
