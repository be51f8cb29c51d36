//! Files that are written whole or not at all, and files of tensors that are read without trust.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorInfo, View, serialize};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{self, Error};

/// What the names of files end in that are being written; their writer was killed if they stay.
const UNFINISHED: &str = ".unfinished";

/// Writes a file beside the one of this name, and puts it in its place when it is complete: whatever
/// happens, there is the old file or the new one.
pub(crate) fn write_whole(who: &str, path: &Path, bytes: &[u8]) -> error::Result<()> {
    replace(path, |file| file.write_all(bytes)).map_err(|error| cannot_write(who, path, &error))
}

/// What a writer says of a path that takes no file.
pub(crate) fn cannot_write(who: &str, path: &Path, why: &dyn fmt::Display) -> Error {
    Error::file(format!(
        "{who}: cannot write {}: {why}; give a path that can be written",
        path.display()
    ))
}

/// Puts what `write` writes in the place of a file once it is complete.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let (folder, prefix) = (folder_of(path), prefix(path));
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(UNFINISHED);
    // As for any new file; the usual ones of a temporary file let nobody else read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The new name is on the disk when the folder is. Windows does not open folders.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// Deletes what writers of this file have left that were killed. Nobody else may be writing it.
pub(crate) fn remove_unfinished(path: &Path) -> io::Result<()> {
    let prefix = prefix(path);
    for entry in std::fs::read_dir(folder_of(path))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(UNFINISHED) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// What the name of the file begins with while it is written.
fn prefix(path: &Path) -> String {
    format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy())
}

/// A tensor as it is written.
#[derive(Debug)]
pub(crate) struct Tensor<'a> {
    shape: Vec<usize>,
    floats: Cow<'a, [f32]>,
}

impl<'a> Tensor<'a> {
    pub(crate) fn new(shape: &[usize], floats: impl Into<Cow<'a, [f32]>>) -> Self {
        Self { shape: shape.to_vec(), floats: floats.into() }
    }
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.floats.iter().flat_map(|float| float.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    fn data_len(&self) -> usize {
        size_of_val(&*self.floats)
    }
}

/// Writes a safetensors file, with texts beside the tensors.
pub(crate) fn write_tensors<'a>(
    who: &str,
    path: &Path,
    tensors: impl IntoIterator<Item = (String, Tensor<'a>)>,
    texts: HashMap<String, String>,
) -> error::Result<()> {
    let texts = (!texts.is_empty()).then(|| texts.into_iter().collect());
    let bytes = serialize(tensors, texts).map_err(|error| cannot_write(who, path, &error))?;
    write_whole(who, path, &bytes)
}

/// The most bytes the safetensors format allows for what stands before the tensors.
const LARGEST_HEADER: u64 = 100_000_000;

/// Bytes read at a time.
const PIECE: usize = 64 * 1024;

/// A safetensors file of which the header has been read: it says truly where every tensor lies, and
/// that there is nothing else.
#[derive(Debug)]
pub(crate) struct Tensors<R> {
    file: R,
    header: Metadata,
    /// Where the first tensor begins.
    start: u64,
}

/// Why a file cannot be used, as the end of a sentence that begins with it.
type Result<T> = std::result::Result<T, String>;

impl Tensors<File> {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err("is a folder; give a safetensors file".to_string());
        }
        Self::new(file)
    }
}

impl<R: Read + Seek> Tensors<R> {
    /// Reads the header; a length it states is believed once the file is seen to have it.
    pub(crate) fn new(mut file: R) -> Result<Self> {
        let length = file.seek(SeekFrom::End(0)).map_err(|error| unreadable(&error))?;
        let mut stated = [0; 8];
        if length < 8 {
            return Err(damaged(format_args!("it has {length} bytes")));
        }
        file.rewind().and_then(|()| file.read_exact(&mut stated)).map_err(|e| unreadable(&e))?;
        let stated = u64::from_le_bytes(stated);
        if stated > LARGEST_HEADER || stated > length - 8 {
            return Err(damaged("it does not begin as one does"));
        }
        let mut header = vec![0; stated as usize];
        file.read_exact(&mut header).map_err(|error| unreadable(&error))?;
        let header: Metadata = serde_json::from_slice(&header).map_err(damaged)?;
        let start = 8 + stated;
        let wanted = start.checked_add(header.data_len() as u64);
        if wanted != Some(length) {
            let tensors = header.data_len();
            return Err(damaged(format_args!(
                "it has {length} bytes, {start} of them before tensors that would take {tensors}"
            )));
        }
        Ok(Self { file, header, start })
    }

    /// A text that stands beside the tensors.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.header.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// The kind, shape and place of every tensor, by name.
    pub(crate) fn infos(&self) -> HashMap<String, &TensorInfo> {
        self.header.tensors().into_iter().collect()
    }

    /// Reads a tensor of as many floats as `to` takes.
    pub(crate) fn read(&mut self, name: &str, to: &mut [f32]) -> Result<()> {
        let info = self.header.info(name).ok_or_else(|| format!("lacks `{name}`"))?;
        let (from, end) = info.data_offsets;
        if info.dtype != Dtype::F32 || end - from != size_of_val(to) {
            let (dtype, shape, wanted) = (info.dtype, &info.shape, to.len());
            return Err(format!(
                "holds `{name}` as {dtype} of shape {shape:?}; wanted {wanted} floats"
            ));
        }
        self.file.seek(SeekFrom::Start(self.start + from as u64)).map_err(|e| unreadable(&e))?;
        let mut bytes = vec![0; PIECE.min(end - from)];
        for floats in to.chunks_mut(PIECE / size_of::<f32>()) {
            let bytes = &mut bytes[..size_of_val(floats)];
            self.file.read_exact(bytes).map_err(|error| unreadable(&error))?;
            for (float, bytes) in floats.iter_mut().zip(bytes.as_chunks().0) {
                *float = f32::from_le_bytes(*bytes);
            }
        }
        Ok(())
    }
}

/// What a text of JSON says, if it states this version, the only one that is read.
pub(crate) fn versioned<T: DeserializeOwned>(
    text: &str,
    version: u64,
    unreadable: impl Fn(serde_json::Error) -> String,
) -> Result<T> {
    #[derive(Deserialize)]
    struct Stated {
        version: u64,
    }

    let stated: Stated = serde_json::from_str(text).map_err(&unreadable)?;
    if stated.version != version {
        return Err(format!(
            "is of version {} of the format; this version of the crate reads version {version}: use \
             one that knows it",
            stated.version
        ));
    }
    serde_json::from_str(text).map_err(unreadable)
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot be read: {error}; give a safetensors file")
}

fn damaged(why: impl std::fmt::Display) -> String {
    format!("is no whole safetensors file: {why}; save it anew")
}
