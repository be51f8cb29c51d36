//! Pictures that are drawn, and how they become pixels.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{FilterQuality, Pixmap, PixmapPaint, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};

use super::palette::PAPER;
use super::pixels::Picture;
use super::text::escape;

/// A drawing: its elements, in the order in which they are painted.
#[derive(Clone, Debug)]
pub(super) struct Svg {
    pub(super) width: f64,
    pub(super) height: f64,
    /// What it shows, for those who cannot see it.
    pub(super) title: String,
    pub(super) body: String,
    /// Pictures of pixels in it, with the place and the size of each.
    pictures: Vec<([f64; 2], f64, Picture)>,
}

/// The end of a text that its place is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(super) fn new(width: f64, height: f64, title: impl Into<String>) -> Self {
        Self { width, height, title: title.into(), body: String::new(), pictures: Vec::new() }
    }

    /// Adds an element with these attributes, which are not escaped: numbers and colours.
    pub(super) fn shape(&mut self, element: &str, attributes: &str) {
        let _ = writeln!(self.body, "<{element} {attributes}/>");
    }

    /// Adds a text, `(x, y)` the left, middle or right end of its base line.
    pub(super) fn text(
        &mut self,
        [x, y]: [f64; 2],
        size: f64,
        anchor: Anchor,
        color: &str,
        text: &str,
    ) {
        self.text_with([x, y], size, anchor, color, "", text);
    }

    /// The same with more attributes.
    pub(super) fn text_with(
        &mut self,
        [x, y]: [f64; 2],
        size: f64,
        anchor: Anchor,
        color: &str,
        attributes: &str,
        text: &str,
    ) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" \
             fill=\"{color}\" {attributes}>{text}</text>"
        );
    }

    /// Adds a picture, as large as it fits into a box.
    pub(super) fn picture(
        &mut self,
        [x, y]: [f64; 2],
        [width, height]: [f64; 2],
        picture: &Picture,
    ) {
        let [w, h] = [picture.width, picture.height].map(|size| size as f64);
        let scale = (width / w).min(height / h);
        let (w, h) = (w * scale, h * scale);
        let _ = writeln!(
            self.body,
            "<image x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" \
             style=\"image-rendering:pixelated\" href=\"{}\"/>",
            picture.uri()
        );
        self.pictures.push(([x, y], scale, picture.clone()));
    }

    /// The drawing as a file, on paper with a margin, or as an element of a page.
    pub(super) fn file(&self) -> String {
        let [width, height] = [self.width, self.height].map(|size| size + 2.0 * MARGIN);
        let ground = format!(
            "<rect x=\"-{MARGIN}\" y=\"-{MARGIN}\" width=\"{width:.0}\" height=\"{height:.0}\" \
             fill=\"{PAPER}\"/>\n"
        );
        self.element("", MARGIN, &ground)
    }

    /// The drawing as an element of a page, on the page's ground.
    pub(super) fn inline(&self, class: &str) -> String {
        self.element(&format!(" class=\"{class}\""), 0.0, "")
    }

    fn element(&self, attributes: &str, margin: f64, ground: &str) -> String {
        let title = escape(&self.title);
        let [width, height] = [self.width, self.height].map(|size| size + 2.0 * margin);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\"{attributes} width=\"{width:.0}\" \
             height=\"{height:.0}\" viewBox=\"{0} {0} {width:.0} {height:.0}\" role=\"img\" \
             font-family=\"{FONTS}\"><title>{title}</title>\n{ground}{1}</svg>\n",
            0.0 - margin,
            self.body
        )
    }

    /// The drawing as a PNG file, two pixels for each of its own. `None` where it would be larger than
    /// any picture is.
    pub(super) fn png(&self) -> Option<Vec<u8>> {
        let scale = (LARGEST / self.width.max(self.height)).min(2.0) as f32;
        let options = Options {
            fontdb: fonts(),
            font_family: "DejaVu Sans".to_string(),
            ..Options::default()
        };
        let file = self.file().replacen(FONTS, "'DejaVu Sans'", 1);
        let tree = Tree::from_str(&file, &options).ok()?;
        let size = tree.size().to_int_size().scale_by(scale)?;
        let mut pixmap = Pixmap::new(size.width(), size.height())?;
        resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
        // Sharp squares, for which the renderer of drawings would need decoders of pictures.
        for ([x, y], size, picture) in &self.pictures {
            let own = Pixmap::decode_png(&picture.png()).ok()?;
            let by = *size as f32 * scale;
            let [x, y] = [x, y].map(|at| (at + MARGIN) as f32 * scale);
            let place = Transform::from_row(by, 0.0, 0.0, by, x, y);
            let paint = PixmapPaint { quality: FilterQuality::Nearest, ..PixmapPaint::default() };
            pixmap.draw_pixmap(0, 0, own.as_ref(), &paint, place, None);
        }
        pixmap.encode_png().ok()
    }
}

/// What browsers have. Pictures in pixels take the one in the crate, so that they are the same everywhere.
const FONTS: &str = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif";

/// The margin of a file.
const MARGIN: f64 = 12.0;

/// The most pixels of a PNG file along an axis.
const LARGEST: f64 = 16_000.0;

/// DejaVu, and for scripts that it does not have what is on the machine.
fn fonts() -> Arc<Database> {
    static FONTS: OnceLock<Arc<Database>> = OnceLock::new();
    let load = || {
        let mut fonts = Database::new();
        fonts.load_font_data(dejavu::sans::regular().to_vec());
        fonts.load_font_data(dejavu::sans::bold().to_vec());
        fonts.load_system_fonts();
        fonts.set_sans_serif_family("DejaVu Sans");
        Arc::new(fonts)
    };
    Arc::clone(FONTS.get_or_init(load))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::palette::INK;

    #[test]
    fn a_drawing_with_hostile_text_is_a_picture() {
        let mut svg = Svg::new(80.0, 20.0, "</title><script>");
        let plain = svg.png().unwrap();
        svg.text([2.0, 15.0], 12.0, Anchor::Start, INK, "<script>&\u{1}]]>");
        assert!(!svg.file().contains("<script"));
        assert_ne!(svg.png().unwrap(), plain);
    }
}
