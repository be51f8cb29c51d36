//! Backups of a training. The first byte says what is damaged: the file, or the JSON in one with the right
//! floats, made in the middle of an epoch or at its end.

#![no_main]

use std::sync::LazyLock;

use convnet_fuzz::trainings::{KEY, backup, resume};
use convnet_fuzz::{file, folder, repaired, with_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    static BACKUPS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| [backup(4), backup(3)]);
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let files = match kind % 3 {
        0 => [Some(bytes.to_vec()), repaired(bytes)],
        kind => {
            let Ok(text) = str::from_utf8(bytes) else { return };
            [Some(with_text(&BACKUPS[usize::from(kind) - 1], KEY, text)), None]
        }
    };
    for bytes in files.into_iter().flatten() {
        file("backup.safetensors", &bytes);
        let _ = resume(&folder());
    }
});
