//! IDX files: whatever is written is read again, and whatever is broken is refused in a sentence.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use convnet::ErrorKind;
use convnet::datasets::idx;
use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray::{ArrayD, IxDyn, arr0, array};
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

/// A header and `bytes`.
fn file(shape: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, shape.len() as u8];
    file.extend(shape.iter().flat_map(|size| size.to_be_bytes()));
    file.extend(bytes);
    file
}

fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(content).unwrap();
    gzip.finish().unwrap()
}

fn in_directory(content: &[u8]) -> (TempDir, PathBuf) {
    let directory = tempdir().unwrap();
    let path = directory.path().join("bytes");
    fs::write(&path, content).unwrap();
    (directory, path)
}

/// Asserts that a file of this content is refused, by its name and with these words.
#[track_caller]
fn refused(content: &[u8], words: &str) {
    let (_directory, path) = in_directory(content);
    let error = idx::read(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File);
    assert!(error.to_string().starts_with(&format!("{}: ", path.display())), "{error}");
    assert!(error.to_string().contains(words), "{error}\nwanted: {words}");
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        (shape, bytes) in prop::collection::vec(0_usize..5, 1..5).prop_flat_map(|shape| {
            let count = shape.iter().product::<usize>();
            (Just(shape), prop::collection::vec(any::<u8>(), count))
        }),
        gzip: bool,
    ) {
        let directory = tempdir().unwrap();
        let path = directory.path().join(if gzip { "array.gz" } else { "array" });
        let array = ArrayD::from_shape_vec(shape, bytes).unwrap();
        idx::write(&path, &array).unwrap();
        prop_assert_eq!(fs::read(&path).unwrap().starts_with(&[0x1f, 0x8b]), gzip);
        prop_assert_eq!(idx::read(&path).unwrap(), array);
    }

    #[test]
    fn no_bytes_make_it_panic(content in prop::collection::vec(any::<u8>(), 0..64), compressed: bool) {
        let with_magic = [&[0, 0, 8][..], &content].concat();
        for content in [content, with_magic] {
            let (_directory, path) = in_directory(&if compressed { gzipped(&content) } else { content });
            let _ = idx::read(&path);
        }
    }
}

#[test]
fn the_bytes_of_a_file_are_those_of_the_format() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("array");
    idx::write(&path, &array![[1_u8, 2, 3], [4, 5, 6]].t()).unwrap();
    let expected = [0, 0, 8, 2, 0, 0, 0, 3, 0, 0, 0, 2, 1, 4, 2, 5, 3, 6];
    assert_eq!(fs::read(&path).unwrap(), expected);
}

#[test]
fn every_rank_is_taken() {
    let (_directory, path) = in_directory(&file(&[1; 255], &[7]));
    let array = idx::read(&path).unwrap();
    assert_eq!((array.ndim(), array.sum()), (255, 7));
    idx::write(&path, &array).unwrap();
    assert_eq!(fs::read(&path).unwrap(), file(&[1; 255], &[7]));
}

#[test]
fn gzip_is_seen_from_the_content_not_the_name() {
    let (_directory, path) = in_directory(&gzipped(&file(&[3], &[1, 2, 3])));
    assert_eq!(idx::read(&path).unwrap(), array![1, 2, 3].into_dyn());
}

#[test]
fn the_same_array_gives_the_same_file() {
    let directory = tempdir().unwrap();
    let paths = ["a.gz", "b.gz"].map(|name| directory.path().join(name));
    for path in &paths {
        idx::write(path, &array![1_u8, 2, 3]).unwrap();
    }
    let [a, b] = paths.map(|path| fs::read(path).unwrap());
    assert_eq!(a, b);
    assert_eq!(a[4..8], [0; 4], "no time of writing");
}

#[test]
fn truncated() {
    refused(&[], "ends within the magic number");
    refused(&[0, 0, 8], "ends within the magic number");
    refused(&file(&[2, 3], &[])[..10], "ends within the 2 sizes of the header");
    refused(
        &file(&[2, 3], &[1, 2, 3, 4, 5]),
        "the header promises 2 × 3 = 6 bytes, but only 5 follow",
    );
    refused(&gzipped(&file(&[2], &[1])), "promises 2 = 2 bytes, but only 1 follow");
}

#[test]
fn oversized() {
    refused(&file(&[2], &[1, 2, 3]), "the header promises 2 = 2 bytes, but more than that follow");
    refused(&file(&[0], &[1]), "but more than that follow");
}

#[test]
fn a_header_that_promises_gigabytes() {
    let most = u32::MAX;
    refused(&file(&[60_000, 1000, 1000], &[1, 2]), "60000000000 bytes, but only 2 follow");
    refused(&gzipped(&file(&[60_000, 1000, 1000], &[1, 2])), "but only 2 follow");
    refused(&file(&[most, most], &[]), "bytes, but only 0 follow");
    refused(&file(&[most, most, most], &[]), "more than memory can address");
    refused(&file(&[most, most, most, 0], &[]), "more than memory can address");
    refused(&file(&[0, most, most, most], &[]), "the header promises 0 × 4294967295");
}

#[test]
fn a_gzip_bomb_is_read_no_further_than_its_header_promises() {
    let bomb = gzipped(&file(&[10], &vec![0; 64 << 20]));
    // Its end is cut off: reading that far would be noticed.
    refused(
        &bomb[..bomb.len() / 2],
        "the header promises 10 = 10 bytes, but more than that follow",
    );
}

#[test]
fn foreign() {
    refused(b"\x89PNG\r\n", "is not an IDX file: it begins with 89 50 4e 47");
    refused(&[0, 0, 0x0d, 1, 0, 0, 0, 0], "holds 32-bit floats (type 0x0d)");
    refused(&[0, 0, 0x77, 1, 0, 0, 0, 0], "holds an unknown element type (type 0x77)");
    refused(&file(&[], &[1]), "an array of rank 0");
}

#[test]
fn corrupt_gzip() {
    let whole = gzipped(&file(&[4], &[1, 2, 3, 4]));
    refused(&whole[..5], "the file is cut off");
    refused(&whole[..whole.len() - 3], "the file is cut off");
    let mut wrong_checksum = whole.clone();
    let place = whole.len() - 8;
    wrong_checksum[place] ^= 1;
    refused(&wrong_checksum, "is corrupt within the 4 bytes of the array");
    let mut no_deflate = whole.clone();
    no_deflate[10] = 0xff;
    refused(&no_deflate, "is corrupt within the magic number");
    refused(&[&whole[..], b"garbage"].concat(), "something follows the end of the gzip data");
    refused(&[&whole[..], &whole].concat(), "something follows the end of the gzip data");
}

#[test]
fn missing_or_not_a_file() {
    let error = idx::read("no/such/file").unwrap_err().to_string();
    assert!(error.starts_with("no/such/file: cannot be read: "), "{error}");
    let directory = tempdir().unwrap();
    let error = idx::read(directory.path()).unwrap_err().to_string();
    assert!(error.contains("cannot be read: "), "{error}");
}

#[test]
fn what_cannot_be_written() {
    let error = idx::write("rank-0", &arr0(1_u8)).unwrap_err();
    let words = "rank-0: an array of rank 0 cannot be written; IDX takes ranks 1 to 255";
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::File, words));
    let error = idx::write("rank-256", &ArrayD::<u8>::zeros(IxDyn(&[1; 256]))).unwrap_err();
    assert!(error.to_string().contains("an array of rank 256"), "{error}");
    let error = idx::write("wide", &ArrayD::<u8>::zeros(IxDyn(&[0, 1 << 32]))).unwrap_err();
    assert!(error.to_string().contains("a dimension of 4294967296"), "{error}");
    let error = idx::write(Path::new("no/such/place"), &array![1_u8]).unwrap_err();
    assert!(error.to_string().starts_with("no/such/place: cannot be written: "), "{error}");
}
