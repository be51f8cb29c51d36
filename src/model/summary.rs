//! The table of layers, to the character as Keras prints it.

use std::cmp::Reverse;
use std::fmt;

use super::network::{Network, Step};
use crate::words::thousands;

/// The table of a model's layers with their output shapes and numbers of weights, and below it how
/// many there are in all and what memory they take; `Display` is the table of Keras' `summary()`.
///
/// A fourth column `Connected to` says what each layer reads, unless the model is a mere chain.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([28, 28, 1]);
/// let class = image.apply(Flatten::new())?.apply(Dense::new(10).activation(Softmax))?;
/// let table = Model::new(&image, &class)?.summary().to_string();
/// assert!(table.contains("│ dense (Dense)                   │ (None, 10)             │         7,850 │"));
/// assert!(table.contains("Total params: 7,850 (30.66 KB)"));
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Summary {
    /// Name and class, shape, number of weights, what it reads.
    rows: Vec<[String; 4]>,
    chain: bool,
    line_length: usize,
    trainable: usize,
    frozen: usize,
    /// How many numbers the optimizer keeps, once it has begun.
    optimizer: Option<usize>,
}

/// What Keras takes on a terminal of 80 columns.
const LINE_LENGTH: usize = 76;

/// Leaves three characters for the text of the narrowest column; much below there is room for none.
const LEAST_LINE_LENGTH: usize = 40;

impl Summary {
    pub(super) fn new(network: &Network) -> Self {
        let depths = depths(network);
        let mut order = traversal(network);
        order.sort_by_key(|&step| Reverse(depths[step]));
        let one_a_depth = order.windows(2).all(|pair| depths[pair[0]] != depths[pair[1]]);
        let all: usize = network.weights().map(|(weight, _)| weight.shape.size()).sum();
        let trainable = network.trained().map(|(weight, _)| weight.shape.size()).sum();
        Self {
            chain: one_a_depth && network.steps.iter().all(|step| step.inputs.len() < 2),
            rows: order.iter().map(|&step| row(network, &network.steps[step])).collect(),
            line_length: LINE_LENGTH,
            trainable,
            frozen: all - trainable,
            optimizer: None,
        }
    }

    /// How many characters wide the table is, at least 40; 76, which is what Keras takes on a
    /// terminal of 80 columns.
    pub fn line_length(self, line_length: usize) -> Self {
        Self { line_length: line_length.max(LEAST_LINE_LENGTH), ..self }
    }

    /// Adds what an optimizer keeps that has `slots` numbers for each weight.
    pub(crate) fn optimizer(self, slots: usize) -> Self {
        Self { optimizer: Some(slots * self.trainable + 2), ..self }
    }

    /// The columns' names and the widths of their text.
    fn columns(&self) -> Vec<(&'static str, usize)> {
        // Where a column ends, as a part of the line, and what the borders take of its text.
        let columns: &[(&str, f64, usize)] = if self.chain {
            &[("Layer (type)", 0.45, 3), ("Output Shape", 0.8, 4), ("Param #", 1.0, 3)]
        } else {
            &[
                ("Layer (type)", 0.3, 3),
                ("Output Shape", 0.56, 3),
                ("Param #", 0.74, 4),
                ("Connected to", 1.0, 3),
            ]
        };
        let mut start = 0;
        let columns = columns.iter().map(|&(name, part, borders)| {
            let end = (part * self.line_length as f64) as usize;
            let width = end - start - borders;
            start = end;
            (name, width)
        });
        columns.collect()
    }
}

/// For each step the length of the longest way from it to an output.
fn depths(network: &Network) -> Vec<usize> {
    let mut depths = vec![0; network.steps.len()];
    for (index, step) in network.steps.iter().enumerate().rev() {
        for &input in &step.inputs {
            depths[input] = depths[input].max(depths[index] + 1);
        }
    }
    depths
}

/// All steps in the order in which one meets them going up from the outputs.
fn traversal(network: &Network) -> Vec<usize> {
    let mut met = vec![false; network.steps.len()];
    let mut order = Vec::with_capacity(met.len());
    let mut pending: Vec<usize> = network.outputs.iter().rev().copied().collect();
    while let Some(step) = pending.pop() {
        if !std::mem::replace(&mut met[step], true) {
            order.push(step);
            pending.extend(network.steps[step].inputs.iter().rev());
        }
    }
    order
}

fn row(network: &Network, step: &Step) -> [String; 4] {
    let class = step.class_name();
    let dims: String = step.shape.iter().map(|dim| format!(", {dim}")).collect();
    let params = step.count_params();
    let reads = step.inputs.iter().map(|&input| format!("{}[0][0]", network.steps[input].name));
    let reads =
        if step.inputs.is_empty() { "-".into() } else { reads.collect::<Vec<_>>().join(", ") };
    [format!("{} ({class})", step.name), format!("(None{dims})"), thousands(params), reads]
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.columns();
        let rule = |[left, line, cross, right]: [&str; 4]| {
            let lines: Vec<_> = columns.iter().map(|(_, width)| line.repeat(width + 2)).collect();
            format!("{left}{}{right}", lines.join(cross))
        };
        let header: Vec<&str> = columns.iter().map(|&(name, _)| name).collect();

        writeln!(f, "Model: \"functional\"")?;
        writeln!(f, "{}", rule(["┏", "━", "┳", "┓"]))?;
        write_row(f, "┃", &columns, &header)?;
        writeln!(f, "{}", rule(["┡", "━", "╇", "┩"]))?;
        for (i, row) in self.rows.iter().enumerate() {
            if i > 0 {
                writeln!(f, "{}", rule(["├", "─", "┼", "┤"]))?;
            }
            write_row(f, "│", &columns, row)?;
        }
        writeln!(f, "{}", rule(["└", "─", "┴", "┘"]))?;

        let Self { trainable, frozen, optimizer, .. } = *self;
        // The optimizer counts its steps in 8 bytes; all else are floats of 4.
        let optimizer_bytes = optimizer.map_or(0, |count| 4 * count + 4);
        let total = trainable + frozen + optimizer.unwrap_or(0);
        let total_bytes = 4 * (trainable + frozen) + optimizer_bytes;
        write!(f, " Total params: {} ({})", thousands(total), size(total_bytes))?;
        write!(f, "\n Trainable params: {} ({})", thousands(trainable), size(4 * trainable))?;
        write!(f, "\n Non-trainable params: {} ({})", thousands(frozen), size(4 * frozen))?;
        if let Some(count) = optimizer {
            write!(f, "\n Optimizer params: {} ({})", thousands(count), size(optimizer_bytes))?;
        }
        Ok(())
    }
}

/// As many lines as the cell needs that wraps most.
fn write_row(
    f: &mut fmt::Formatter<'_>,
    border: &str,
    columns: &[(&str, usize)],
    row: &[impl AsRef<str>],
) -> fmt::Result {
    let cells: Vec<Vec<String>> =
        columns.iter().zip(row).map(|(&(_, width), text)| wrap(text.as_ref(), width)).collect();
    for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
        write!(f, "{border}")?;
        for (&(name, width), cell) in columns.iter().zip(&cells) {
            let text = cell.get(line).map_or("", String::as_str);
            if name == "Param #" {
                write!(f, " {text:>width$} {border}")?;
            } else {
                write!(f, " {text:<width$} {border}")?;
            }
        }
        writeln!(f)?;
    }
    Ok(())
}

/// Breaks a text between words; a word that is longer than a line ends in `…`.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + word.trim_end().chars().count() > width {
            lines.push(String::new());
        }
        lines.last_mut().expect("there is at least one line").push_str(word);
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
        if line.chars().count() > width {
            *line = line.chars().take(width - 1).chain(['…']).collect();
        }
    }
    lines
}

/// `241.04 KB`.
fn size(bytes: usize) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "KB", "MB", "GB"] {
        if size < 1024.0 {
            return format!("{size:.2} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.2} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (bytes, text) in [
            (0, "0.00 B"),
            (1023, "1023.00 B"),
            (1024, "1.00 KB"),
            (246_824, "241.04 KB"),
            (3 << 30, "3.00 GB"),
            (5 << 40, "5.00 TB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn text_wraps_between_words() {
        assert_eq!(wrap("dense (Dense)", 13), ["dense (Dense)"]);
        assert_eq!(wrap("dense (Dense)", 12), ["dense", "(Dense)"]);
        assert_eq!(wrap("a_long_name (Dense)", 8), ["a_long_…", "(Dense)"]);
        assert_eq!(wrap("3,211,776", 4), ["3,2…"]);
        assert_eq!(wrap("é (è)", 5), ["é (è)"]);
    }
}
