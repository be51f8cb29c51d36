//! `load_pytorch` and `save_pytorch`.

use super::*;

#[test]
fn weights_that_pytorch_wrote() {
    let mut small = drawn_anew(networks::small());
    small.load_pytorch(fixture("small.theirs.safetensors"), &[]).unwrap();
    predicts(&small, "small.pytorch.predicted.safetensors");
    let mut plain = drawn_anew(networks::plain());
    plain.load_pytorch(fixture("plain.theirs.safetensors"), &networks::PLAIN).unwrap();
    predicts(&plain, "plain.pytorch.predicted.safetensors");
}

/// What is written has the names, shapes and numbers that PyTorch wrote itself.
#[test]
fn the_same_tensors_are_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    let mut model = networks::small().unwrap();
    model.load_pytorch(fixture("small.theirs.safetensors"), &[]).unwrap();
    model.save_pytorch(&path, &[]).unwrap();
    let bytes = fs::read(fixture("small.theirs.safetensors")).unwrap();
    let theirs = SafeTensors::deserialize(&bytes).unwrap();
    let counted = |name: &&str| !name.ends_with("num_batches_tracked");
    let ours = arrays(&path);
    assert_eq!(ours.len(), theirs.names().into_iter().filter(counted).count());
    for (name, array) in &ours {
        let tensor = theirs.tensor(name).unwrap();
        assert_eq!(array.shape(), tensor.shape(), "{name}");
        let bytes: Vec<u8> = array.iter().flat_map(|float| float.to_le_bytes()).collect();
        assert!(bytes == tensor.data(), "{name}");
    }
}

/// Demands that the file is refused so, and that no weight has changed.
#[track_caller]
fn not_loaded(model: &mut Model, path: &Path, modules: &[(&str, &str)], why: &str) {
    let before: Vec<_> = model.weights().into_iter().map(|(_, w)| w.to_owned()).collect();
    let sentence = format!("load_pytorch: {} {why}", path.display());
    refused(model.load_pytorch(path, modules), ErrorKind::File, &sentence);
    assert!(model.weights().iter().map(|(_, w)| w).eq(&before));
}

#[test]
fn the_weights_of_another_model() {
    let mut plain = networks::plain().unwrap();
    not_loaded(
        &mut plain,
        &fixture("plain.theirs.safetensors"),
        &[("conv2d", "conv2"), ("conv2d_1", "conv1"), ("dense", "fc1")],
        "does not fit this model: missing: `dense_1.weight`, `dense_1.bias`; unexpected: `fc2.bias`, \
         `fc2.weight`; different: `conv2.weight` (F32 of shape (4, 3, 2, 2) in the file, F32 of shape \
         (3, 1, 3, 3) here), `conv2.bias` (F32 of shape (4) in the file, F32 of shape (3) here), \
         `conv1.weight` (F32 of shape (3, 1, 3, 3) in the file, F32 of shape (4, 3, 2, 2) here), \
         `conv1.bias` (F32 of shape (3) in the file, F32 of shape (4) here)",
    );
}

#[test]
fn modules_that_make_no_sense() {
    let model = networks::plain().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    refused(
        model.save_pytorch(&path, &[("conv", "conv1")]),
        ErrorKind::Graph,
        "save_pytorch: the model has no layer `conv`; it has input_layer, conv2d, max_pooling2d, \
         conv2d_1, flatten, dense, dense_1",
    );
    refused(
        model.save_pytorch(&path, &[("dense", "a"), ("dense", "b")]),
        ErrorKind::Graph,
        "save_pytorch: `dense` has two modules; give it one",
    );
    refused(
        model.save_pytorch(&path, &[("dense", "fc"), ("dense_1", "fc")]),
        ErrorKind::Graph,
        "save_pytorch: two layers would have the tensor `fc.weight`; give each a module of its own",
    );
    let path = folder.path().join("no/such/folder");
    let error = model.save_pytorch(&path, &[]).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("save_pytorch: cannot write {}: ", path.display())),
        "{error}"
    );
    assert!(!path.exists());
}

/// Numbers that PyTorch, with the channels before the pixels, would have in another order.
#[test]
fn orders_that_pytorch_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let grey = Input::new(16);
    let image = grey.apply(Reshape::new([4, 4, 1])).unwrap();
    let class = image.apply(Flatten::new()).unwrap().apply(Dense::new(2)).unwrap();
    Model::new(&grey, &class).unwrap().save_pytorch(&path, &[]).unwrap();
    let coloured = grey.apply(Reshape::new([2, 2, 4])).unwrap();
    refused(
        Model::new(&grey, &coloured).unwrap().save_pytorch(&path, &[]),
        ErrorKind::Graph,
        "save_pytorch: `reshape` of class Reshape takes numbers in another order than in PyTorch, whose \
         images have the channels first",
    );
    let image = Input::new([2, 2, 2]);
    let flat = image.apply(Flatten::new()).unwrap();
    let dense = flat.apply(Dense::new(8)).unwrap();
    let sum = [&flat, &dense].apply(Add::new()).unwrap();
    refused(
        Model::new(&image, &sum).unwrap().save_pytorch(&path, &[]),
        ErrorKind::Graph,
        "save_pytorch: `add` of class Add takes numbers in another order than in PyTorch, whose images \
         have the channels first",
    );
}

/// Refused, or read as what they now say; never a panic.
#[test]
fn files_that_are_damaged() {
    let whole = fs::read(fixture("plain.theirs.safetensors")).unwrap();
    let mut model = networks::plain().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    for bytes in damaged(&whole, 1000) {
        fs::write(&path, bytes).unwrap();
        let _ = model.load_pytorch(&path, &networks::PLAIN);
    }
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    not_loaded(
        &mut model,
        &path,
        &networks::PLAIN,
        "is no whole safetensors file: EOF while parsing a value at line 1 column 0; save it anew",
    );
    let (_folder, path) = file("weights.safetensors", b"");
    not_loaded(
        &mut model,
        &path,
        &networks::PLAIN,
        "is no whole safetensors file: it has 0 bytes; save it anew",
    );
}
