//! The page and the files beside it.

use std::fmt::Write;

use super::Stage;
use super::pixels::Picture;
use super::svg::Svg;
use super::text::escape;

/// A page in the making.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) stage: Stage,
    title: String,
    /// Name and contents of each section.
    sections: Vec<(&'static str, &'static str, String)>,
    /// Name and contents of each file.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// What a browser may do with the page: show it. No script, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";

/// A drawing of so many pixels can be read on a phone.
const READABLE: f64 = 600.0;

/// How many seconds a page lives while training goes on.
pub(super) const REFRESH: u32 = 5;

impl Page {
    pub(super) fn new(title: &str, stage: Stage) -> Self {
        Self { stage, title: title.to_string(), sections: Vec::new(), files: Vec::new() }
    }

    /// Begins a section: the anchor and the heading.
    pub(super) fn section(&mut self, id: &'static str, heading: &'static str) {
        self.sections.push((id, heading, String::new()));
    }

    /// Adds HTML to the section, as it is.
    pub(super) fn html(&mut self, html: &str) {
        if let Some((.., body)) = self.sections.last_mut() {
            body.push_str(html);
            body.push('\n');
        }
    }

    /// A paragraph of text.
    pub(super) fn text(&mut self, text: &str) {
        self.html(&format!("<p>{}</p>", escape(text)));
    }

    /// A note in smaller letters.
    pub(super) fn note(&mut self, text: &str) {
        self.html(&format!("<p class=\"note\">{}</p>", escape(text)));
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.html(&format!("<h3>{}</h3>", escape(text)));
    }

    /// A drawing for the page, and its files. It shrinks with the screen as long as it can be read, then
    /// its box scrolls.
    pub(super) fn drawing(&mut self, name: &str, class: &str, svg: &Svg) {
        let least = if svg.width > READABLE { svg.width * 0.7 } else { 0.0 };
        let drawing = svg.inline(class);
        self.html(&format!(
            "<div class=\"scroll\"><div style=\"min-width:{least:.0}px\">{drawing}</div></div>"
        ));
        self.file(name, svg);
    }

    /// The files of a drawing.
    pub(super) fn file(&mut self, name: &str, svg: &Svg) {
        if self.stage != Stage::Whole {
            return;
        }
        self.files.push((format!("{name}.svg"), svg.file().into_bytes()));
        if let Some(png) = svg.png() {
            self.files.push((format!("{name}.png"), png));
        }
    }

    /// A picture of pixels with a caption, shown about so many pixels wide, and its files.
    pub(super) fn picture(&mut self, name: &str, picture: &Picture, wanted: usize, caption: &str) {
        let width = picture.width * picture.factor(wanted);
        let alt = escape(caption);
        self.html(&format!(
            "<figure style=\"width:{width}px\"><img class=\"pixels\" alt=\"{alt}\" width=\"{}\" \
             height=\"{}\" src=\"{}\"><figcaption>{alt}</figcaption></figure>",
            picture.width,
            picture.height,
            picture.uri()
        ));
        if self.stage == Stage::Whole {
            let by = picture.factor(1024);
            self.files.push((format!("{name}.svg"), picture.svg(by).into_bytes()));
            self.files.push((format!("{name}.png"), picture.enlarged(by).png()));
        }
    }

    /// The whole page: the numbers that matter on top, then the sections.
    pub(super) fn finish(&self, subtitle: &str, facts: &[(String, String)]) -> String {
        let title = escape(&self.title);
        let refresh = match self.stage {
            Stage::Live => format!("<meta http-equiv=\"refresh\" content=\"{REFRESH}\">\n"),
            Stage::Ended | Stage::Whole => String::new(),
        };
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n{refresh}\
             <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{}</style>\n\
             </head>\n<body>\n<header>\n<h1>{title}</h1>\n<p class=\"subtitle\">{}</p>\n",
            include_str!("style.css"),
            escape(subtitle)
        );
        page.push_str("<dl class=\"facts\">");
        for (name, value) in facts {
            let (name, value) = (escape(name), escape(value));
            let _ = write!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>");
        }
        page.push_str("</dl>\n<nav>");
        for (id, heading, _) in &self.sections {
            let _ = write!(page, "<a href=\"#{id}\">{heading}</a> ");
        }
        page.push_str("</nav>\n</header>\n<main>\n");
        for (id, heading, body) in &self.sections {
            let _ = write!(page, "<section id=\"{id}\">\n<h2>{heading}</h2>\n{body}</section>\n");
        }
        page.push_str("</main>\n</body>\n</html>\n");
        page
    }
}
