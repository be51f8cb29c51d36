//! How well a classifier does: who is taken for whom, precision and recall of each class.

use super::palette::{BLUE, BORDER, GRID, INK, MUTED, ON_DARK, VERMILLION};
use super::pixels::{Picture, Scale};
use super::svg::{Anchor, Svg};
use super::text::{fit, width};
use crate::metrics::Scores;
use ndarray::Array2;

/// Up to so many classes a cell has its number, and up to so many it is drawn; beyond, it is a pixel.
const NUMBERED: usize = 20;
const DRAWN: usize = 60;
/// The most rows of a chart of classes, and the most pixels of a class name.
const ROWS: usize = 40;
const NAME: f64 = 130.0;

/// The share that each cell has of its row.
fn shares(matrix: &Array2<usize>) -> Array2<f64> {
    let mut shares = matrix.mapv(|number| number as f64);
    for mut row in shares.rows_mut() {
        let sum = row.sum().max(1.0);
        row /= sum;
    }
    shares
}

/// Whether the matrix is drawn, or too large for that.
pub(super) fn is_drawn(classes: usize) -> bool {
    classes <= DRAWN
}

/// Rows are the true classes, columns what was predicted; the darker a cell, the larger its share of the row.
pub(super) fn confusion(matrix: &Array2<usize>, names: &[String]) -> Svg {
    let count = names.len();
    let (cell, size) = match count {
        0..=12 => (32.0, 12.0),
        13..=NUMBERED => (27.0, 10.5),
        _ => (13.0, 10.0),
    };
    let names: Vec<String> = names.iter().map(|name| fit(name, size, NAME)).collect();
    let longest = names.iter().map(|name| width(name, size)).fold(0.0, f64::max);
    let (left, top) = (longest + 34.0, longest + 34.0);
    let side = cell * count as f64;
    let title = "Confusion matrix: rows are the true classes, columns the predicted ones";
    let mut svg = Svg::new(left + side + 8.0, top + side + 8.0, title);
    svg.text([left + side / 2.0, 14.0], 12.0, Anchor::Middle, MUTED, "predicted");
    let turned = format!("transform=\"rotate(-90 14 {:.1})\"", top + side / 2.0);
    let place = [14.0, top + side / 2.0];
    svg.text_with(place, 12.0, Anchor::Middle, MUTED, &turned, "true");
    for (i, name) in names.iter().enumerate() {
        let middle = cell * (i as f64 + 0.5) + size * 0.36;
        svg.text([left - 8.0, top + middle], size, Anchor::End, INK, name);
        let (x, y) = (left + middle, top - 8.0);
        let turned = format!("transform=\"rotate(-90 {x:.1} {y:.1})\"");
        svg.text_with([x, y], size, Anchor::Start, INK, &turned, name);
    }
    for ((row, column), share) in shares(matrix).indexed_iter() {
        let number = matrix[[row, column]];
        let (x, y) = (left + cell * column as f64, top + cell * row as f64);
        // Mistakes have another colour than what is right, and begin where they can be seen.
        let color = if row == column { BLUE } else { VERMILLION };
        let strength = if number == 0 { 0.0 } else { 0.12 + 0.88 * share.sqrt() };
        svg.shape(
            "rect",
            &format!(
                "x=\"{x:.1}\" y=\"{y:.1}\" width=\"{cell}\" height=\"{cell}\" fill=\"{color}\" \
                 fill-opacity=\"{strength:.3}\" stroke=\"{GRID}\""
            ),
        );
        if count <= NUMBERED && number > 0 {
            let ink = if strength > 0.62 { ON_DARK } else { INK };
            let text = super::text::short(number);
            let place = [x + cell / 2.0, y + cell / 2.0 + size * 0.36];
            svg.text(place, size.min(11.0), Anchor::Middle, ink, &text);
        }
    }
    svg
}

/// The same where there are so many classes that each cell is a pixel.
pub(super) fn confusion_pixels(matrix: &Array2<usize>) -> Picture {
    let (rows, columns) = matrix.dim();
    let shares: Vec<f32> = shares(matrix).iter().map(|share| share.sqrt() as f32).collect();
    let step = rows.div_ceil(LARGEST);
    let scale = Scale::Viridis { least: 0.0, most: 1.0 };
    if step == 1 {
        return Picture::whole(&shares, [rows, columns], scale);
    }
    // The largest share of the classes that fall on one pixel.
    let small = rows.div_ceil(step);
    let mut most = vec![0.0f32; small * small];
    for (i, &share) in shares.iter().enumerate() {
        let cell = &mut most[i / columns / step * small + i % columns / step];
        *cell = cell.max(share);
    }
    Picture::whole(&most, [small, small], scale)
}

/// The most pixels along a side of a matrix.
const LARGEST: usize = 1000;

/// The mistakes that were made most often: true class, predicted class, how often.
pub(super) fn most_confused(matrix: &Array2<usize>, most: usize) -> Vec<(usize, usize, usize)> {
    let cells =
        matrix.indexed_iter().filter(|((row, column), number)| row != column && **number > 0);
    let mut cells: Vec<_> = cells.map(|((row, column), &number)| (row, column, number)).collect();
    cells.sort_by_key(|&(row, column, number)| (std::cmp::Reverse(number), row, column));
    cells.truncate(most);
    cells
}

/// The classes to show, those with the worst F1 if there are too many, in their order.
pub(super) fn worst(scores: &[Option<Scores>], most: usize) -> Vec<usize> {
    let mut classes: Vec<usize> = (0..scores.len()).filter(|&i| scores[i].is_some()).collect();
    if classes.len() > most {
        let f1 = |&class: &usize| scores[class].map_or(0.0, |scores| scores.f1_score);
        classes.sort_by(|a, b| f1(a).total_cmp(&f1(b)));
        classes.truncate(most);
        classes.sort_unstable();
    }
    classes
}

/// Precision and recall of each class as dots on a line from 0 to 1.
pub(super) fn dots(scores: &[Option<Scores>], names: &[String]) -> Svg {
    let classes = worst(scores, ROWS);
    let row = 24.0;
    let shown: Vec<String> = classes.iter().map(|&class| fit(&names[class], 12.0, NAME)).collect();
    let left = shown.iter().map(|name| width(name, 12.0)).fold(40.0, f64::max) + 20.0;
    let (plot, top) = (300.0, 56.0);
    let height = top + row * classes.len() as f64 + 28.0;
    let mut svg = Svg::new(left + plot + 24.0, height, "Precision and recall of each class");
    let x = |value: f64| left + plot * value;
    let legend = [(BLUE, "precision"), (VERMILLION, "recall")];
    for (i, (color, text)) in legend.into_iter().enumerate() {
        let at = left + 100.0 * i as f64;
        mark(&mut svg, [at + 6.0, 16.0], color, i == 0);
        svg.text([at + 18.0, 20.0], 12.0, Anchor::Start, INK, text);
    }
    let bottom = height - 24.0;
    for tick in 0..=5 {
        let value = f64::from(tick) / 5.0;
        let at = x(value);
        svg.shape(
            "path",
            &format!("d=\"M{at:.1} {:.1} V{bottom:.1}\" stroke=\"{GRID}\"", top - 12.0),
        );
        svg.text([at, bottom + 16.0], 11.0, Anchor::Middle, MUTED, &format!("{value:.1}"));
    }
    for (i, (&class, name)) in classes.iter().zip(&shown).enumerate() {
        let y = top + row * i as f64 + 4.0;
        svg.text([left - 12.0, y + 4.0], 12.0, Anchor::End, INK, name);
        let Some(Scores { precision, recall, .. }) = scores[class] else { continue };
        svg.shape(
            "path",
            &format!(
                "d=\"M{:.1} {y} H{:.1}\" stroke=\"{BORDER}\" stroke-width=\"2\"",
                x(precision.min(recall)),
                x(precision.max(recall))
            ),
        );
        mark(&mut svg, [x(recall), y], VERMILLION, false);
        mark(&mut svg, [x(precision), y], BLUE, true);
    }
    svg
}

/// A filled dot, or a ring: told apart without colours too.
fn mark(svg: &mut Svg, [x, y]: [f64; 2], color: &str, filled: bool) {
    let (radius, fill) = if filled { ("4.5", color) } else { ("6.5", "none") };
    svg.shape(
        "circle",
        &format!(
            "cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\" stroke=\"{color}\" \
             stroke-width=\"2\""
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_thousand_classes_are_pixels() {
        let matrix = Array2::from_shape_fn((2100, 2100), |(i, j)| usize::from(i == j));
        let picture = confusion_pixels(&matrix);
        assert_eq!((picture.width, picture.height), (700, 700));
        assert!(is_drawn(60) && !is_drawn(61));
    }

    #[test]
    fn mistakes_are_sorted() {
        let matrix = array![[9, 1, 3], [0, 8, 3], [5, 0, 0]];
        assert_eq!(most_confused(&matrix, 3), [(2, 0, 5), (0, 2, 3), (1, 2, 3)]);
    }

    #[test]
    fn the_worst_classes_are_shown() {
        let score = |f1_score: f64| {
            Some(Scores { precision: f1_score, recall: f1_score, f1_score, support: 1 })
        };
        let scores = [score(0.9), None, score(0.1), score(0.5), score(0.2)];
        assert_eq!(worst(&scores, 10), [0, 2, 3, 4]);
        assert_eq!(worst(&scores, 2), [2, 4]);
        let names = ["a"; 5].map(String::from);
        assert_eq!(dots(&scores, &names).body.matches("<circle").count(), 2 + 2 * 4);
    }
}
