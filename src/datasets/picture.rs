//! PNG and JPEG files, decoded within bounds.

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::catch_unwind;
use std::path::Path;

use ndarray::Array3;
use png::{ColorType, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::error::{Error, Result};

/// The most pixels of a picture: 200 MB decoded, and more than cameras take without stitching.
const MOST_PIXELS: usize = 64 << 20;

/// The most pixels that a byte of a file can stand for: a bit each, and deflate's greatest ratio.
const PIXELS_OF_A_BYTE: usize = 8 * 1032;

/// The longest file: the most pixels with four channels of 16 bits, which nothing compressed exceeds
/// by much.
const LONGEST: u64 = 8 * MOST_PIXELS as u64;

/// A decoded picture, `(height, width, 3)`.
pub(super) struct Picture {
    pub(super) size: [usize; 2],
    pub(super) pixels: Vec<u8>,
}

/// Decodes a file in red, green and blue, or says what is wrong with it. What it is shows its content,
/// not its name; transparency is dropped, and of an animation the first picture taken.
pub(super) fn read(path: &Path) -> Result<Picture, String> {
    let cannot = |error| format!("cannot be read: {error}");
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    match bytes[..] {
        [] => Err("is empty".to_string()),
        [0x89, b'P', b'N', b'G', ..] => read_png(&bytes),
        // The decoder's versions have panicked on damaged files again and again (zune-image's issues 219, 262,
        // 361 and 409); what it was working on is gone with it.
        [0xff, 0xd8, ..] => catch_unwind(|| read_jpeg(&bytes))
            .unwrap_or_else(|_| Err("is a broken JPEG: the decoder panicked".to_string())),
        _ => Err("is neither PNG nor JPEG".to_string()),
    }
}

/// A photograph from a file, PNG or JPEG, as `(height, width, 3)` in red, green and blue from 0 to 1.
/// Keras: `load_img`. With the feature `images`.
///
/// # Errors
/// If the file cannot be read or is no whole picture.
///
/// ```
/// let path = tempfile::tempdir().unwrap().keep().join("red.png");
/// let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 2, 1);
/// encoder.set_color(png::ColorType::Rgb);
/// encoder.write_header().unwrap().write_image_data(&[255, 0, 0, 51, 51, 51]).unwrap();
/// let image = convnet::datasets::load_image(&path)?;
/// assert_eq!(image, ndarray::array![[[1.0, 0.0, 0.0], [0.2, 0.2, 0.2]]]);
/// # Ok::<(), convnet::Error>(())
/// ```
pub fn load_image(path: impl AsRef<Path>) -> Result<Array3<f32>> {
    let path = path.as_ref();
    let read = read(path).and_then(|Picture { size: [height, width], pixels }| {
        let pixels = pixels.into_iter().map(|value| f32::from(value) / 255.0).collect();
        Array3::from_shape_vec((height, width, 3), pixels).map_err(|error| error.to_string())
    });
    read.map_err(|fault| Error::file(format!("{} {fault}", path.display())))
}

/// Refuses sizes before anything is allocated for them.
fn check_size(height: usize, width: usize, bytes: usize) -> Result<[usize; 2], String> {
    let pixels = height.saturating_mul(width);
    if pixels == 0 || pixels > MOST_PIXELS {
        return Err(format!(
            "claims to be {height}×{width}; wanted at least one pixel and at most {MOST_PIXELS}"
        ));
    }
    if pixels > bytes.saturating_mul(PIXELS_OF_A_BYTE) {
        return Err(format!("claims to be {height}×{width}, which its {bytes} bytes cannot hold"));
    }
    Ok([height, width])
}

fn read_png(bytes: &[u8]) -> Result<Picture, String> {
    let broken = |error: png::DecodingError| format!("is a broken PNG: {error}");
    let limits = png::Limits { bytes: 8 * MOST_PIXELS };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let header = decoder.read_header_info().map_err(broken)?;
    let size = check_size(header.height as usize, header.width as usize, bytes.len())?;
    let mut reader = decoder.read_info().map_err(broken)?;
    let len = reader.output_buffer_size().ok_or("is a broken PNG: its size overflows")?;
    let mut pixels = vec![0; len];
    let frame = reader.next_frame(&mut pixels).map_err(broken)?;
    // A frame of an animation may be smaller than the picture.
    if [frame.height as usize, frame.width as usize] != size {
        return Err("is an animation whose first picture does not fill it".to_string());
    }
    let pixels = match frame.color_type {
        ColorType::Rgb => pixels,
        ColorType::Rgba => pixels.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
        ColorType::Grayscale => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
        ColorType::GrayscaleAlpha => pixels.chunks_exact(2).flat_map(|p| [p[0]; 3]).collect(),
        ColorType::Indexed => return Err("is a broken PNG: its palette was not applied".into()),
    };
    Ok(Picture { size, pixels })
}

fn read_jpeg(bytes: &[u8]) -> Result<Picture, String> {
    let broken = |error| format!("is a broken JPEG: {error}");
    // Strict: half a picture is an error, not half a grey one.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(broken)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let size = check_size(height, width, bytes.len())?;
    let pixels = decoder.decode().map_err(broken)?;
    // The decoder makes up what is missing in the last rows.
    if !has_an_end(bytes) {
        return Err("is a broken JPEG: it is cut off".to_string());
    }
    if pixels.len() != height * width * 3 {
        return Err("is a JPEG of unusual colours; save it in RGB".to_string());
    }
    Ok(Picture { size, pixels })
}

/// Whether a JPEG's last scan is followed by the marker of its end, which no scan has in it.
fn has_an_end(bytes: &[u8]) -> bool {
    let scan = bytes.windows(2).rposition(|marker| marker == [0xff, 0xda]);
    scan.is_some_and(|scan| bytes[scan..].windows(2).any(|marker| marker == [0xff, 0xd9]))
}
