//! The graph of layers as a drawing: a card for each layer.

use super::palette::{BLUE, BORDER, GREEN, INK, MUTED, PAPER, PURPLE, VERMILLION};
use super::svg::{Anchor, Svg};
use super::text::{dims, fit, width, wrap};
use crate::model::{Network, Step, params};

/// Sizes in pixels. A card is as wide as a phone.
const CARD: f64 = 384.0;
const PAD: f64 = 14.0;
/// Where the text of a card begins, right of the sketch of its output.
const TEXT: f64 = 90.0;
const LINE: f64 = 17.0;
const SMALL: f64 = 12.0;
/// Between cards, down and across; and what an edge takes that passes by cards.
const DOWN: f64 = 30.0;
const ACROSS: f64 = 26.0;
const LANE: f64 = 20.0;

/// The text of a card.
struct Card {
    name: String,
    class: &'static str,
    shape: Vec<usize>,
    lines: Vec<String>,
    height: f64,
}

impl Card {
    fn new(step: &Step) -> Self {
        let details = step.details();
        let most = CARD - TEXT - PAD;
        let mut lines = Vec::new();
        if !details.settings.is_empty() {
            lines.extend(wrap(&details.settings.join(", "), SMALL, most));
        }
        for line in &details.size {
            // A sum is read in one line.
            match line.split_once(": ") {
                Some((what, sum)) if width(line, SMALL) > most => {
                    lines.push(format!("{what}:"));
                    lines.extend(wrap(sum, SMALL, most));
                }
                _ => lines.extend(wrap(line, SMALL, most)),
            }
        }
        if let Some(params) = params(step) {
            let fixed = if step.is_fixed { " (fixed)" } else { "" };
            lines.extend(wrap(&format!("params: {params}{fixed}"), SMALL, most));
        }
        let height = 58.0 + LINE * lines.len() as f64 + if lines.is_empty() { 2.0 } else { 8.0 };
        let (name, class) = (step.name.clone(), step.class_name());
        Self { name, class, shape: step.shape.to_vec(), lines, height: height.max(76.0) }
    }

    fn draw(&self, svg: &mut Svg, [x, y]: [f64; 2]) {
        let color = color(self.class);
        svg.shape(
            "rect",
            &format!(
                "x=\"{x}\" y=\"{y}\" width=\"{CARD}\" height=\"{}\" rx=\"8\" fill=\"{PAPER}\" \
                 stroke=\"{BORDER}\"",
                self.height
            ),
        );
        svg.shape(
            "path",
            &format!(
                "d=\"M{} {y} a8 8 0 0 0 -8 8 v{} a8 8 0 0 0 8 8 z\" fill=\"{color}\"",
                x + 8.0,
                self.height - 16.0
            ),
        );
        sketch(svg, [x + 14.0, y], self.height, &self.shape, color);
        let [left, right] = [x + TEXT, x + CARD - PAD];
        let name = fit(&self.name, 14.0, (right - left) * 0.95);
        let bold = "font-weight=\"600\"";
        svg.text_with([left, y + 24.0], 14.0, Anchor::Start, INK, bold, &name);
        svg.text([right, y + 46.0], SMALL, Anchor::End, MUTED, self.class);
        let room = right - left - width(self.class, SMALL) - 8.0;
        let shape = fit(&dims(&self.shape), 15.0, room);
        svg.text([left, y + 46.0], 15.0, Anchor::Start, INK, &shape);
        for (i, line) in self.lines.iter().enumerate() {
            let at = [left, y + 66.0 + LINE * i as f64];
            svg.text(at, SMALL, Anchor::Start, MUTED, line);
        }
    }
}

/// The kinds of layers, told apart by colour: what has weights and slides, what pools, what is fully
/// connected, what joins, and the others.
fn color(class: &str) -> &'static str {
    match class {
        _ if class.contains("Conv2D") => BLUE,
        _ if class.contains("Pooling") => GREEN,
        "Dense" => VERMILLION,
        "Add" | "Average" | "Multiply" | "Concatenate" => PURPLE,
        _ => BORDER,
    }
}

/// Planes one behind the other for images, a bar for rows of numbers; larger ones are drawn larger, by
/// their root.
fn sketch(svg: &mut Svg, [x, y]: [f64; 2], height: f64, shape: &[usize], color: &str) {
    let (w, h, planes) = match *shape {
        [h, w, c] => {
            let side = |size: usize| (10.0 + 3.4 * (size as f64).sqrt()).min(48.0);
            (side(w), side(h), (1.0 + (c as f64).log2()).min(7.0) as usize)
        }
        [n] => (9.0, (10.0 + 2.4 * (n as f64).sqrt()).min(height - 24.0), 1),
        _ => (12.0, 30.0, 1),
    };
    let shift = 3.0;
    let behind = shift * (planes - 1) as f64;
    let left = x + (TEXT - 14.0 - 6.0 - w - behind) / 2.0;
    let top = y + (height - h - behind) / 2.0;
    for plane in (0..planes).rev() {
        let by = shift * plane as f64;
        svg.shape(
            "rect",
            &format!(
                "x=\"{:.1}\" y=\"{:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" fill=\"{PAPER}\" \
                 stroke=\"{color}\"",
                left + by,
                top + behind - by
            ),
        );
    }
    svg.shape(
        "rect",
        &format!(
            "x=\"{left:.1}\" y=\"{:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" fill=\"{color}\" \
             fill-opacity=\"0.18\" stroke=\"{color}\"",
            top + behind
        ),
    );
}

/// What stands in a row of the drawing: a step, or an edge that passes by to this step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    Step(usize),
    Lane { from: usize, to: usize },
}

impl Item {
    fn width(self) -> f64 {
        match self {
            Self::Step(_) => CARD,
            Self::Lane { .. } => LANE,
        }
    }
}

/// The rows from top to bottom, each from left to right: a step stands below all that it reads.
fn rows(network: &Network) -> Vec<Vec<Item>> {
    let steps = &network.steps;
    let mut depth = vec![0; steps.len()];
    for (i, step) in steps.iter().enumerate() {
        depth[i] = step.inputs.iter().map(|&input| depth[input] + 1).max().unwrap_or(0);
    }
    // An input stands right above its first reader.
    for &input in &network.inputs {
        let readers = steps.iter().enumerate().filter(|(_, step)| step.inputs.contains(&input));
        depth[input] = readers.map(|(i, _)| depth[i] - 1).min().unwrap_or(0);
    }
    let mut rows = vec![Vec::new(); depth.iter().max().map_or(0, |most| most + 1)];
    for (i, step) in steps.iter().enumerate() {
        rows[depth[i]].push(Item::Step(i));
        for &from in &step.inputs {
            for row in &mut rows[depth[from] + 1..depth[i]] {
                row.push(Item::Lane { from, to: i });
            }
        }
    }
    // Each below the middle of what it reads, so that few edges cross.
    for row in 1..rows.len() {
        let (above, below) = rows.split_at_mut(row);
        let above = &above[row - 1];
        let place = |item: &Item| {
            let sources: &[usize] = match item {
                Item::Step(i) => &steps[*i].inputs,
                Item::Lane { from, .. } => std::slice::from_ref(from),
            };
            let to = if let Item::Lane { to, .. } = item { *to } else { usize::MAX };
            let places = sources.iter().filter_map(|&from| position(above, from, item, to));
            let places: Vec<f64> = places.map(|place| place as f64).collect();
            // Lanes lie outside.
            let lane = if to == usize::MAX { 0.0 } else { 0.5 };
            places.iter().sum::<f64>() / places.len().max(1) as f64 + lane
        };
        below[0].sort_by(|a, b| place(a).total_cmp(&place(b)));
    }
    rows
}

/// Where in a row the output of `from` comes by on its way to an item below.
fn position(row: &[Item], from: usize, item: &Item, to: usize) -> Option<usize> {
    let reader = if let Item::Step(i) = item { *i } else { to };
    row.iter()
        .position(|&above| above == Item::Step(from) || above == Item::Lane { from, to: reader })
}

/// A model that is a chain, in so many columns; any other in one drawing of rows.
pub(super) fn architecture(network: &Network, columns: usize) -> Svg {
    let cards: Vec<Card> = network.steps.iter().map(Card::new).collect();
    let rows = rows(network);
    let title = "The layers of the network, each with the shape of its output";
    if rows.iter().all(|row| row.len() == 1) {
        return chain(&cards, columns, title);
    }
    graph(network, &cards, &rows, title)
}

/// Whether it is drawn in columns.
pub(super) fn is_chain(network: &Network) -> bool {
    rows(network).iter().all(|row| row.len() == 1)
}

/// Cards one below the other, in columns of about the same height.
fn chain(cards: &[Card], columns: usize, title: &str) -> Svg {
    let total: f64 = cards.iter().map(|card| card.height + DOWN).sum();
    // A little more than a fair share, so that the last column is not the longest.
    let longest = cards.iter().map(|card| card.height).fold(0.0, f64::max);
    let mut share = total / columns as f64;
    let cut = |share: f64| {
        let mut cut = vec![Vec::new()];
        let mut height = 0.0;
        for (i, card) in cards.iter().enumerate() {
            if height > 0.0 && height + card.height > share {
                cut.push(Vec::new());
                height = 0.0;
            }
            height += card.height + DOWN;
            cut.last_mut().expect("there is a column").push(i);
        }
        cut
    };
    while cut(share).len() > columns {
        share += longest / 4.0;
    }
    let cut = cut(share);
    let height = |column: &Vec<usize>| -> f64 {
        column.iter().map(|&i| cards[i].height + DOWN).sum::<f64>() - DOWN
    };
    let gap = 2.0 * ACROSS;
    let width = cut.len() as f64 * (CARD + gap) - gap + 2.0;
    let mut svg = Svg::new(width, cut.iter().map(height).fold(0.0, f64::max) + 2.0, title);
    for (number, column) in cut.iter().enumerate() {
        let (x, mut y) = (1.0 + number as f64 * (CARD + gap), 1.0);
        for (i, &card) in column.iter().enumerate() {
            let bottom = y + cards[card].height;
            cards[card].draw(&mut svg, [x, y]);
            let middle = x + CARD / 2.0;
            if i + 1 < column.len() {
                let end = bottom + DOWN - 1.0;
                arrow(&mut svg, &format!("M{middle} {bottom} V{}", end - 4.0), [middle, end]);
            } else if number + 1 < cut.len() {
                // From the middle of the last card's side up to the middle of the next column's first.
                let (right, next) = (x + CARD, &cards[cut[number + 1][0]]);
                let (middle, end) = (1.0 + next.height / 2.0, right + gap - 1.0);
                let path = format!(
                    "M{right} {} H{} V{middle} H{}",
                    bottom - cards[card].height / 2.0,
                    right + ACROSS,
                    end - 4.0
                );
                line(&mut svg, &path);
                let head = format!("d=\"M{end} {middle} l-7 -4.5 v9 z\" fill=\"{MUTED}\"");
                svg.shape("path", &head);
            }
            y = bottom + DOWN;
        }
    }
    svg
}

fn graph(network: &Network, cards: &[Card], rows: &[Vec<Item>], title: &str) -> Svg {
    let across =
        |row: &Vec<Item>| row.iter().map(|item| item.width() + ACROSS).sum::<f64>() - ACROSS;
    let width = rows.iter().map(across).fold(0.0, f64::max);
    let mut svg = Svg::new(width + 2.0, 0.0, title);
    // The left and the top of every item, and the height of its row.
    let mut y = 1.0;
    let mut places: Vec<Vec<(f64, f64, f64)>> = Vec::new();
    for row in rows {
        let height = |item: &Item| if let Item::Step(i) = *item { cards[i].height } else { 0.0 };
        let tallest = row.iter().map(height).fold(0.0, f64::max);
        let mut x = 1.0 + (width - across(row)) / 2.0;
        places.push(Vec::new());
        for item in row {
            places.last_mut().expect("just pushed").push((x, y, tallest));
            x += item.width() + ACROSS;
        }
        y += tallest + DOWN + 8.0;
    }
    svg.height = y - DOWN - 8.0 + 1.0;
    // Edges first, so that cards lie on top.
    for below in 1..rows.len() {
        for (item, &(x, y, tallest)) in rows[below].iter().zip(&places[below]) {
            let (sources, to): (&[usize], usize) = match item {
                Item::Step(i) => (&network.steps[*i].inputs, *i),
                Item::Lane { from, to } => (std::slice::from_ref(from), *to),
            };
            for &from in sources {
                let Some(source) = position(&rows[below - 1], from, item, to) else { continue };
                let above = rows[below - 1][source];
                let (left, top, high) = places[below - 1][source];
                let own = if let Item::Step(i) = above { cards[i].height } else { high };
                let start = [left + above.width() / 2.0, top + own];
                let end = [x + item.width() / 2.0, y];
                let bend = (end[1] - top - high) / 2.0;
                let turn = top + high;
                let path = format!(
                    "M{} {} V{turn} C{} {}, {} {}, {} {}",
                    start[0],
                    start[1],
                    start[0],
                    turn + bend,
                    end[0],
                    end[1] - bend,
                    end[0],
                    end[1] - 5.0
                );
                match item {
                    Item::Step(_) => arrow(&mut svg, &path, [end[0], end[1] - 1.0]),
                    Item::Lane { .. } => line(&mut svg, &path),
                }
            }
            if let Item::Lane { .. } = item {
                let middle = x + LANE / 2.0;
                line(&mut svg, &format!("M{middle} {} V{}", y - 5.0, y + tallest));
            }
        }
    }
    for (row, places) in rows.iter().zip(&places) {
        for (item, &(x, y, _)) in row.iter().zip(places) {
            if let Item::Step(i) = *item {
                cards[i].draw(&mut svg, [x, y]);
            }
        }
    }
    svg
}

fn line(svg: &mut Svg, path: &str) {
    svg.shape(
        "path",
        &format!("d=\"{path}\" fill=\"none\" stroke=\"{MUTED}\" stroke-width=\"1.5\""),
    );
}

/// A line with a head at its end, which points down.
fn arrow(svg: &mut Svg, path: &str, [x, y]: [f64; 2]) {
    line(svg, path);
    svg.shape("path", &format!("d=\"M{x} {y} l-4.5 -7 h9 z\" fill=\"{MUTED}\""));
}
