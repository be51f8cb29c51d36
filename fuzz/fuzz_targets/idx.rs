//! IDX files, plain and gzipped; what is read is written and read again.

#![no_main]

use std::io::Write;

use convnet::datasets::idx;
use convnet_fuzz::{file, folder};
use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).expect("a Vec takes every byte");
    check(&gzip.finish().expect("a Vec takes every byte"));
});

fn check(bytes: &[u8]) {
    let Ok(array) = idx::read(file("idx", bytes)) else { return };
    for name in ["again", "again.gz"] {
        let path = folder().join(name);
        idx::write(&path, &array).expect("it came from such a file");
        assert_eq!(idx::read(&path).expect("it was just written"), array);
    }
}
