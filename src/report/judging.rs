//! The sections on right and wrong: confusion matrix, precision and recall, mistakes.

use std::fmt::Write;

use super::held_out::{Judged, floats};
use super::page::Page;
use super::palette::INK;
use super::pixels::Picture;
use super::scores::{confusion, confusion_pixels, dots, is_drawn, most_confused, worst};
use super::svg::{Anchor, Svg};
use super::text::{escape, fit, sure};
use super::{Report, Stage};
use crate::error::Result;
use crate::metrics::{ClassificationReport, arg_max, classification_report, confusion_matrix};
use crate::model::Model;
use crate::words::counted;
use ndarray::{Array1, Array2};

/// The most rows of the table of classes, and the most mistakes that are shown.
const ROWS: usize = 50;
const MISTAKES: usize = 12;
/// How often a mistake must be to be named where a matrix is too large to read.
const CONFUSED: usize = 10;

/// All about a classifier.
struct Verdict {
    judged: Judged,
    matrix: Array2<usize>,
    report: ClassificationReport,
}

impl Report<'_> {
    /// Writes the sections; returns the accuracy and on how many samples, if there is one.
    pub(super) fn judge(&self, page: &mut Page, model: &Model) -> Result<Option<(f64, usize)>> {
        let verdict = self.verdict(page.stage, model)?;
        page.section("confusion", "Confusion matrix");
        match &verdict {
            Ok(verdict) => self.confusion(page, verdict),
            Err(why) => page.text(why),
        }
        page.section("scores", "Precision and recall");
        match &verdict {
            Ok(verdict) => self.scores(page, verdict),
            Err(why) => page.text(why),
        }
        page.section("mistakes", "The most confident mistakes");
        match &verdict {
            Ok(verdict) => self.mistakes(page, verdict)?,
            Err(why) => page.text(why),
        }
        Ok(verdict.ok().map(|verdict| (verdict.report.accuracy, verdict.judged.truth.len())))
    }

    /// How the classifier does, or why that cannot be said.
    fn verdict(&self, stage: Stage, model: &Model) -> Result<std::result::Result<Verdict, String>> {
        let Some(held_out) = &self.held_out else {
            return Ok(Err("The report was given no samples to judge the model by.".to_string()));
        };
        if stage != Stage::Whole {
            return Ok(Err("This comes when training is over.".to_string()));
        }
        let judged = match held_out.judged(model)? {
            Ok(judged) => judged,
            Err(why) => return Ok(Err(why)),
        };
        let truth = Array1::from(judged.truth.clone());
        let found = confusion_matrix(&truth, &judged.scores)
            .and_then(|matrix| Ok((matrix, classification_report(&truth, &judged.scores)?)));
        // What these cannot take, such as more classes than they count, the page says.
        Ok(found
            .map(|(matrix, report)| Verdict { judged, matrix, report })
            .map_err(|error| error.to_string()))
    }

    fn confusion(&self, page: &mut Page, Verdict { matrix, .. }: &Verdict) {
        let names: Vec<String> = (0..matrix.nrows()).map(|class| self.class(class)).collect();
        if is_drawn(names.len()) {
            page.note(
                "A row is a true class, a column what was predicted. The stronger a cell, the larger its share \
                 of the row; blue is right, orange wrong.",
            );
            return page.drawing("confusion", "matrix", &confusion(matrix, &names));
        }
        page.note(
            "Each pixel is a cell: rows are true classes, columns predicted ones, bright is often.",
        );
        let caption = format!("{} classes, from the top left", names.len());
        page.picture("confusion", &confusion_pixels(matrix), 500, &caption);
        let most = most_confused(matrix, CONFUSED);
        if !most.is_empty() {
            page.heading("Most often taken for another");
            page.html(
                "<div class=\"scroll\"><table><thead><tr><th>true</th><th>predicted</th>\
                       <th class=\"number\">samples</th></tr></thead><tbody>",
            );
        }
        for (row, column, count) in &most {
            page.html(&format!(
                "<tr><td>{}</td><td>{}</td><td class=\"number\">{count}</td></tr>",
                escape(&names[*row]),
                escape(&names[*column])
            ));
        }
        if !most.is_empty() {
            page.html("</tbody></table></div>");
        }
    }

    fn scores(&self, page: &mut Page, Verdict { report, .. }: &Verdict) {
        let names: Vec<String> = (0..report.classes.len()).map(|class| self.class(class)).collect();
        let shown = worst(&report.classes, ROWS);
        let all = report.classes.iter().flatten().count();
        if shown.len() < all {
            page.note(&format!("The {} classes with the lowest F1 of {all}.", shown.len()));
        }
        page.html("<div class=\"beside\">");
        page.drawing("scores", "dots", &dots(&report.classes, &names));
        let mut table = String::from(
            "<div class=\"scroll\"><table><thead><tr><th>class</th><th class=\"number\">precision</th>\
             <th class=\"number\">recall</th><th class=\"number\">F1</th>\
             <th class=\"number\">samples</th></tr></thead><tbody>",
        );
        let average = [("mean", Some(report.macro_avg))];
        let rows = shown.iter().map(|&class| (names[class].as_str(), report.classes[class]));
        for (name, scores) in rows.chain(average) {
            let Some(scores) = scores else { continue };
            let _ = write!(table, "<tr><th scope=\"row\">{}</th>", escape(&fit(name, 14.0, 200.0)));
            for score in [scores.precision, scores.recall, scores.f1_score] {
                let _ = write!(table, "<td class=\"number\">{score:.3}</td>");
            }
            let _ = write!(table, "<td class=\"number\">{}</td></tr>", scores.support);
        }
        page.html(&(table + "</tbody></table></div></div>"));
    }

    fn mistakes(&self, page: &mut Page, Verdict { judged, .. }: &Verdict) -> Result<()> {
        let Some(held_out) = &self.held_out else { return Ok(()) };
        let rows = judged.scores.rows().into_iter().zip(&judged.truth).enumerate();
        let mut wrong: Vec<(usize, usize, usize, f32)> = rows
            .filter_map(|(sample, (row, &truth))| {
                let predicted = arg_max(row.as_slice()?);
                (predicted != truth).then(|| (sample, truth, predicted, row[predicted]))
            })
            .collect();
        if wrong.is_empty() {
            page.text("There is none: every sample was classified as it should be.");
            return Ok(());
        }
        page.note(&format!("Of {}.", counted(wrong.len(), "mistake")));
        wrong.sort_by(|a, b| b.3.total_cmp(&a.3).then(a.0.cmp(&b.0)));
        wrong.truncate(MISTAKES);
        let samples: Vec<usize> = wrong.iter().map(|mistake| mistake.0).collect();
        let columns = held_out.some(&samples)?;
        let mut pictures = Vec::new();
        page.html("<ul class=\"mistakes\">");
        for (i, &(sample, truth, predicted, score)) in wrong.iter().enumerate() {
            let Some(column) = columns.first() else { continue };
            let (numbers, shape) = floats(column, i);
            let picture = Picture::sample(numbers, &shape);
            let [truth, predicted] = [truth, predicted].map(|class| self.class(class));
            let sure = sure(score);
            page.html(&format!(
                "<li><img class=\"pixels\" alt=\"sample {sample}\" width=\"{}\" height=\"{}\" \
                 src=\"{}\"><p><b>{}</b>, {sure}<br>truth: {}<br><span class=\"note\">sample {sample}</span>\
                 </p></li>",
                picture.width,
                picture.height,
                picture.uri(),
                escape(&predicted),
                escape(&truth)
            ));
            let text = [
                format!("{predicted}, {sure}"),
                format!("truth: {truth}"),
                format!("sample {sample}"),
            ];
            pictures.push((picture, text));
        }
        page.html("</ul>");
        page.file("mistakes", &montage(&pictures));
        Ok(())
    }
}

/// Pictures with three lines of text below each, four a row.
fn montage(pictures: &[(Picture, [String; 3])]) -> Svg {
    let (cell, image, line) = (190.0, 140.0, 17.0);
    let height = image + 3.0 * line + 30.0;
    let columns = pictures.len().min(4);
    let rows = pictures.len().div_ceil(4);
    let size = [columns as f64 * cell + 16.0, rows as f64 * height + 16.0];
    let mut svg = Svg::new(size[0], size[1], "The most confident mistakes");
    for (i, (picture, text)) in pictures.iter().enumerate() {
        let [x, y] = [(i % 4) as f64 * cell + 16.0, (i / 4) as f64 * height + 16.0];
        svg.picture([x, y], [image, image], picture);
        for (row, line_of_text) in text.iter().enumerate() {
            let place = [x, y + image + line * (row as f64 + 1.0)];
            let text = fit(line_of_text, 12.0, cell - 12.0);
            svg.text(place, 12.0, Anchor::Start, INK, &text);
        }
    }
    svg
}
