//! Pictures made of pixels: filters, feature maps, samples.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plotters::style::colors::colormaps::{ColorMap, ViridisRGB};

/// A picture of 8 bits a colour.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Picture {
    pub(super) width: usize,
    pub(super) height: usize,
    rgb: Vec<[u8; 3]>,
}

/// How numbers become colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// From the smallest, dark, to the largest, bright.
    Viridis { least: f32, most: f32 },
    /// Blue below 0, white, orange above, as far as `most` either way.
    Signed { most: f32 },
    /// From black to white.
    Grey { least: f32, most: f32 },
}

/// The largest height or width of a tile; a larger one is shrunk by a whole number.
const LARGEST_TILE: usize = 128;

/// The least pixels of the larger side of tiles that stand beside others.
const LEAST_TILE: usize = 24;

impl Scale {
    /// Viridis over all these numbers.
    pub(super) fn viridis(floats: &[f32]) -> Self {
        let (least, most) = range(floats);
        Self::Viridis { least, most }
    }

    /// The signed scale over all these numbers.
    pub(super) fn signed(floats: &[f32]) -> Self {
        Self::Signed { most: floats.iter().fold(0.0, |most: f32, x| most.max(x.abs())) }
    }

    fn color(self, value: f32) -> [u8; 3] {
        // Where all numbers are the same there is no scale; NaN goes to the lower end.
        let part =
            |value: f32, span: f32| if span > 0.0 { (value / span).clamp(0.0, 1.0) } else { 0.0 };
        match self {
            Self::Grey { least, most } => [(part(value - least, most - least) * 255.0) as u8; 3],
            Self::Viridis { least, most } => {
                let color = ViridisRGB.get_color(part(value - least, most - least));
                [color.0, color.1, color.2]
            }
            Self::Signed { most } => {
                let end = if value < 0.0 { [0.0, 90.0, 160.0] } else { [200.0, 80.0, 0.0] };
                let strength = part(value.abs(), most);
                end.map(|end| (248.0 + (end - 248.0) * strength) as u8)
            }
        }
    }
}

/// The smallest and the largest number.
pub(super) fn range(floats: &[f32]) -> (f32, f32) {
    let finite = floats.iter().filter(|x| x.is_finite());
    finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), &x| (least.min(x), most.max(x)))
}

impl Picture {
    /// One channel of an image `(height, width, channels)`.
    pub(super) fn channel(
        floats: &[f32],
        [height, width, channels]: [usize; 3],
        channel: usize,
        scale: Scale,
    ) -> Self {
        let step = height.max(width).div_ceil(LARGEST_TILE);
        let [rows, columns] = [height, width].map(|size| size.div_ceil(step));
        let mean = |row: usize, column: usize| {
            let rows = row * step..height.min((row + 1) * step);
            let columns = column * step..width.min((column + 1) * step);
            let count = (rows.len() * columns.len()) as f32;
            let cells = rows.flat_map(|y| columns.clone().map(move |x| y * width + x));
            cells.map(|cell| floats[cell * channels + channel]).sum::<f32>() / count
        };
        let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let rgb = cells.map(|(row, column)| scale.color(mean(row, column))).collect();
        Self { width: columns, height: rows, rgb }
    }

    /// Numbers of this height and width, one a pixel.
    pub(super) fn whole(floats: &[f32], [height, width]: [usize; 2], scale: Scale) -> Self {
        Self { width, height, rgb: floats.iter().map(|&x| scale.color(x)).collect() }
    }

    /// Three channels as red, green and blue, each from `least`, dark, to `most`.
    pub(super) fn colored(floats: &[f32], [height, width]: [usize; 2], range: (f32, f32)) -> Self {
        let (least, most) = range;
        let planes = [0, 1, 2].map(|channel| {
            Self::channel(floats, [height, width, 3], channel, Scale::Grey { least, most })
        });
        let rgb = (0..planes[0].rgb.len()).map(|i| [0, 1, 2].map(|c| planes[c].rgb[i][0]));
        let (width, height) = (planes[0].width, planes[0].height);
        Self { width, height, rgb: rgb.collect() }
    }

    /// A sample: in colours if it has three channels, in grey if it has one; else the mean of the channels,
    /// and numbers that are no image as a strip.
    pub(super) fn sample(floats: &[f32], shape: &[usize]) -> Self {
        match *shape {
            [h, w, 3] => Self::colored(floats, [h, w], range(floats)),
            [h, w, c] => {
                let means =
                    floats.chunks_exact(c).map(|pixel| pixel.iter().sum::<f32>() / c as f32);
                let means: Vec<f32> = means.collect();
                let (least, most) = range(&means);
                Self::channel(&means, [h, w, 1], 0, Scale::Grey { least, most })
            }
            _ => Self::strip(floats, Scale::viridis(floats)),
        }
    }

    /// Numbers as cells in reading order, at most 64 a row.
    pub(super) fn strip(floats: &[f32], scale: Scale) -> Self {
        let width = floats.len().min(64);
        let height = floats.len().div_ceil(width);
        let mut rgb: Vec<[u8; 3]> = floats.iter().map(|&x| scale.color(x)).collect();
        rgb.resize(width * height, GAP);
        Self { width, height, rgb }
    }

    /// Pictures of one size beside and below each other, with gaps that are thin beside them.
    pub(super) fn grid(tiles: &[Self], columns: usize) -> Self {
        let large = tiles.first().map_or(1, |tile| LEAST_TILE / tile.width.max(tile.height));
        if large > 1 && tiles.len() > 1 {
            let tiles: Vec<Self> = tiles.iter().map(|tile| tile.enlarged(large)).collect();
            return Self::grid(&tiles, columns);
        }
        let columns = columns.min(tiles.len()).max(1);
        let (w, h) = tiles.first().map_or((1, 1), |tile| (tile.width, tile.height));
        let rows = tiles.len().div_ceil(columns).max(1);
        let (width, height) = (columns * (w + 1) - 1, rows * (h + 1) - 1);
        let mut grid = Self { width, height, rgb: vec![GAP; width * height] };
        for (i, tile) in tiles.iter().enumerate() {
            let (top, left) = (i / columns * (h + 1), i % columns * (w + 1));
            for (y, row) in tile.rgb.chunks_exact(w).enumerate() {
                grid.rgb[(top + y) * width + left..][..w].copy_from_slice(row);
            }
        }
        grid
    }

    /// Each pixel as a square of so many.
    pub(super) fn enlarged(&self, by: usize) -> Self {
        let rows = self.rgb.chunks_exact(self.width).flat_map(|row| {
            let row: Vec<[u8; 3]> = row.iter().flat_map(|&pixel| vec![pixel; by]).collect();
            vec![row; by]
        });
        Self { width: self.width * by, height: self.height * by, rgb: rows.flatten().collect() }
    }

    /// By how much to enlarge it so that it is about so many pixels wide and not much higher, at most 12
    /// times.
    pub(super) fn factor(&self, wanted: usize) -> usize {
        let side = self.width.max(self.height);
        ((wanted + side / 2) / side).clamp(1, 12)
    }

    /// The picture as a PNG file.
    pub(super) fn png(&self) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        // Into memory, of the length that was promised: there is nothing that could fail.
        let mut writer = encoder.write_header().expect("a header is written to memory");
        writer.write_image_data(self.rgb.as_flattened()).expect("pixels are written to memory");
        writer.finish().expect("the end is written to memory");
        file
    }

    /// The picture for the `src` of an image.
    pub(super) fn uri(&self) -> String {
        format!("data:image/png;base64,{}", STANDARD.encode(self.png()))
    }

    /// The picture as an SVG file, its pixels enlarged and sharp.
    pub(super) fn svg(&self, by: usize) -> String {
        let (width, height) = (self.width * by, self.height * by);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\"><image width=\"{width}\" height=\"{height}\" \
             style=\"image-rendering:pixelated\" href=\"{}\"/></svg>\n",
            self.uri()
        )
    }
}

/// What lies between tiles: the middle grey, seen on white and on black.
const GAP: [u8; 3] = [148, 155, 163];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_lie_in_reading_order() {
        let tile = |value: f32| {
            let scale = Scale::Grey { least: 0.0, most: 255.0 };
            Picture::channel(&[value; 4], [2, 2, 1], 0, scale)
        };
        // Each cell of a tile is a square of 12 pixels.
        let grid = Picture::grid(&[tile(1.0), tile(2.0), tile(3.0)], 2);
        assert_eq!((grid.width, grid.height), (49, 49));
        let at = |x: usize, y: usize| grid.rgb[y * 49 + x][0];
        assert_eq!([at(0, 0), at(25, 23), at(23, 48)], [1, 2, 3]);
        assert_eq!([at(24, 0), at(0, 24), at(48, 48)], [GAP[0]; 3]);
    }

    #[test]
    fn a_large_channel_is_shrunk_to_means() {
        let floats: Vec<f32> = (0..300 * 200 * 2).map(|i| (i % 2) as f32).collect();
        let scale = Scale::Grey { least: 0.0, most: 1.0 };
        let picture = Picture::channel(&floats, [300, 200, 2], 1, scale);
        assert_eq!((picture.height, picture.width), (100, 67));
        assert!(picture.rgb.iter().all(|&pixel| pixel == [255; 3]));
    }

    #[test]
    fn a_file_is_what_a_decoder_reads() {
        let picture = Picture::strip(&[0.0, 0.5, 1.0], Scale::Viridis { least: 0.0, most: 1.0 });
        let file = picture.enlarged(2).png();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (6, 2));
        assert_eq!(pixels[0..3], pixels[3..6]);
        assert_ne!(pixels[0..3], pixels[6..9]);
    }

    #[test]
    fn any_numbers_have_a_picture() {
        for floats in [vec![0.0; 12], vec![f32::MAX; 12], vec![-1e-30; 12]] {
            for shape in [&[2, 2, 3][..], &[2, 3, 2], &[12], &[4, 3, 1]] {
                assert!(Picture::sample(&floats, shape).png().len() > 50);
            }
        }
    }
}
