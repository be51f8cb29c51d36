//! The page of pictures.

use convnet::ErrorKind::{Data, File};
use convnet::report::Report;

use super::*;

#[test]
fn what_does_not_fit_the_model_is_refused_before_any_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let report = || Report::new(folder.path());
    let (x, y) = (inputs(), one_hot());
    let few = labels().slice(ndarray::s![..5]).to_owned();
    let flat = Array1::<f32>::zeros(24);
    for (mut report, sentence) in [
        (
            report().classes(["a", "b"]),
            "report: got 2 class names for 4 classes; name each class, in order",
        ),
        (
            report().samples(&flat, &y),
            "report: the inputs have the shape (24), the model wants (n, 3); change the data or the \
             model's Input",
        ),
        (
            report().samples(&x, &few),
            "report: got 8 samples but 5 labels; every sample needs one of each",
        ),
        (
            report().samples(&x, &y).show([2, 8]),
            "report: sample 8 is to be shown; there are 8, counted from 0",
        ),
    ] {
        let mut model = classifier();
        let before = format!("{:?}", model.snapshot());
        refused(model.fit(&x, &y, silent().callback(&mut report)), Data, sentence);
        assert_eq!(format!("{:?}", model.snapshot()), before);
        refused(report.write(&model), Data, sentence);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for (path, at) in [(file.clone(), file.clone()), (file.join("under"), file.join("under"))] {
        let error = Report::new(&path).write(&classifier()).unwrap_err();
        assert_eq!(error.kind(), File);
        let start = format!("report: cannot write {}: ", at.display());
        assert!(error.to_string().starts_with(&start), "{error}");
        assert!(error.to_string().ends_with("; give a path that can be written"), "{error}");
    }
}
