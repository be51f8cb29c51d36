//! IDX files: the arrays of bytes in which MNIST and its relatives are published, plain or gzipped.
//!
//! A file is the magic number `00 00 08 rank` (`08` stands for unsigned bytes), one big-endian
//! 32-bit size for each dimension, and the bytes in row-major order.
//!
//! ```
//! use convnet::datasets::idx;
//! use ndarray::{Ix3, array};
//!
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("two-images-idx3-ubyte.gz");
//! let images = array![[[0u8, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 255]]];
//! idx::write(&path, &images)?;
//! assert_eq!(idx::read(&path)?.into_dimensionality::<Ix3>().unwrap(), images);
//! # Ok::<(), convnet::Error>(())
//! ```

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use byteorder::{BigEndian, ReadBytesExt, WriteBytesExt};
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use ndarray::{ArrayBase, ArrayD, Data, Dimension};

use crate::files::replace;
use crate::{Error, Result};

/// The code of unsigned bytes, the only element type of this reader.
const UNSIGNED_BYTE: u8 = 0x08;

/// The first two bytes of every gzip file.
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads an array of unsigned bytes of any rank; whether the file is gzipped is seen from its
/// content, not from its name.
///
/// The header is not trusted: memory grows with the bytes that really come, and reading stops
/// at the first byte too many.
///
/// # Errors
/// The file cannot be read, is not IDX, holds another element type, is shorter or longer than its
/// header says, or its gzip is corrupt or followed by anything else. The sentence names the file.
pub fn read(path: impl AsRef<Path>) -> Result<ArrayD<u8>> {
    let path = path.as_ref();
    read_file(path).map_err(|fault| Error::file(format!("{}: {fault}", path.display())))
}

fn read_file(path: &Path) -> Result<ArrayD<u8>, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    let mut file = BufReader::new(File::open(path).map_err(cannot)?);
    if !file.fill_buf().map_err(cannot)?.starts_with(&GZIP_MAGIC) {
        return parse(&mut file);
    }
    let mut gzip = GzDecoder::new(file);
    let array = parse(&mut gzip)?;
    if !gzip.into_inner().fill_buf().map_err(cannot)?.is_empty() {
        return Err("something follows the end of the gzip data; wanted nothing there".into());
    }
    Ok(array)
}

/// Reads header and bytes from `input` and makes sure that nothing follows.
fn parse(input: &mut impl Read) -> Result<ArrayD<u8>, String> {
    let shape = read_shape(input)?;
    let sizes = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ");
    let promised =
        shape.iter().try_fold(1, |product: usize, &size| product.checked_mul(size)).ok_or_else(
            || format!("the header promises {sizes} bytes, more than memory can address"),
        )?;
    let mut bytes = Vec::new();
    // One byte more than promised shows a file that is too long, and a gzip bomb gets no further.
    input
        .take((promised as u64).saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| broken(error, &format!("within the {promised} bytes of the array")))?;
    match bytes.len() {
        found if found < promised => Err(format!(
            "the header promises {sizes} = {promised} bytes, but only {found} follow; \
             the file is cut off, fetch it again"
        )),
        found if found > promised => Err(format!(
            "the header promises {sizes} = {promised} bytes, but more than that follow"
        )),
        _ => ArrayD::from_shape_vec(shape, bytes)
            .map_err(|error| format!("the header promises {sizes} bytes: {error}")),
    }
}

fn read_shape(input: &mut impl Read) -> Result<Vec<usize>, String> {
    let mut magic = [0; 4];
    input.read_exact(&mut magic).map_err(|error| broken(error, "within the magic number"))?;
    let [0, 0, element, rank] = magic else {
        return Err(format!(
            "is not an IDX file: it begins with {:02x} {:02x} {:02x} {:02x}, \
             an IDX file of bytes with 00 00 08 and its rank",
            magic[0], magic[1], magic[2], magic[3]
        ));
    };
    if element != UNSIGNED_BYTE {
        let name = match element {
            0x09 => "signed bytes",
            0x0b => "16-bit integers",
            0x0c => "32-bit integers",
            0x0d => "32-bit floats",
            0x0e => "64-bit floats",
            _ => "an unknown element type",
        };
        return Err(format!("holds {name} (type {element:#04x}); wanted unsigned bytes (0x08)"));
    }
    if rank == 0 {
        return Err("the header promises an array of rank 0; wanted at least one dimension".into());
    }
    (0..rank)
        .map(|_| match input.read_u32::<BigEndian>() {
            Ok(size) => Ok(size as usize),
            Err(error) => Err(broken(error, &format!("within the {rank} sizes of the header"))),
        })
        .collect()
}

fn broken(error: io::Error, place: &str) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            format!("ends {place}; the file is cut off, fetch it again")
        }
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            format!("is corrupt {place} ({error}); fetch it again")
        }
        _ => format!("cannot be read: {error}"),
    }
}

/// Writes an array of unsigned bytes, gzipped when the name ends in `.gz`; the same array always
/// gives the same file. A file that is there stays whole until the new one is complete.
///
/// # Errors
/// The rank is 0 or more than 255, a dimension does not fit into 32 bits, or the file cannot be
/// written.
pub fn write<S, D>(path: impl AsRef<Path>, array: &ArrayBase<S, D>) -> Result<()>
where
    S: Data<Elem = u8>,
    D: Dimension,
{
    let path = path.as_ref();
    let fault = |what: String| Error::file(format!("{}: {what}", path.display()));
    let header = header(array.shape()).map_err(fault)?;
    let gzipped = path.extension().is_some_and(|ending| ending == "gz");
    let written = replace(path, |file| {
        let mut file = BufWriter::new(file);
        if gzipped {
            // The encoder writes neither a name nor a time unless asked to.
            let mut gzip = GzEncoder::new(file, Compression::best());
            write_to(&mut gzip, &header, array)?;
            gzip.finish()?.flush()
        } else {
            write_to(&mut file, &header, array)?;
            file.flush()
        }
    });
    written.map_err(|error| fault(format!("cannot be written: {error}")))
}

fn header(shape: &[usize]) -> Result<Vec<u8>, String> {
    let rank = u8::try_from(shape.len()).ok().filter(|&rank| rank > 0).ok_or_else(|| {
        format!("an array of rank {} cannot be written; IDX takes ranks 1 to 255", shape.len())
    })?;
    let mut header = vec![0, 0, UNSIGNED_BYTE, rank];
    for &size in shape {
        let size = u32::try_from(size)
            .map_err(|_| format!("a dimension of {size} cannot be written; IDX takes 32 bits"))?;
        header.write_u32::<BigEndian>(size).expect("a Vec takes every byte");
    }
    Ok(header)
}

fn write_to<S, D>(out: &mut impl Write, header: &[u8], array: &ArrayBase<S, D>) -> io::Result<()>
where
    S: Data<Elem = u8>,
    D: Dimension,
{
    out.write_all(header)?;
    out.write_all(array.as_standard_layout().as_slice().expect("standard layout is contiguous"))
}
