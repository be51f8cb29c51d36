//! The sections on what layers do: filters, feature maps, saliency.

use std::fmt::Write;

use super::Report;
use super::held_out::{self, floats, lend, rows};
use super::page::Page;
use super::pixels::{Picture, Scale, range};
use super::text::{dims, escape, slug, sure};
use crate::error::Result;
use crate::metrics::arg_max;
use crate::model::Model;
use crate::samples::Column;
use crate::words::counted;
use ndarray::{ArrayViewD, Axis};

/// The most filters or feature maps of a layer that are shown, and of filters with several channels the most
/// of both.
const TILES: usize = 64;
const ACROSS: usize = 16;
/// How many of the scores of a sample are named.
const NAMED: usize = 5;
/// About how wide pictures are on the page.
const WANTED: usize = 640;
const INPUT: usize = 180;

impl Report<'_> {
    pub(super) fn filters(&self, page: &mut Page, model: &Model) {
        page.section("filters", "Filters");
        let kernels: Vec<(String, ArrayViewD<'_, f32>)> =
            model.weights().into_iter().filter(|(_, weight)| weight.ndim() == 4).collect();
        if kernels.is_empty() {
            return page.text("The model has no convolutions.");
        }
        page.note(
            "Blue cells are negative, white ones 0, orange ones positive, on one scale a layer; of filters \
             over red, green and blue the colours are their own.",
        );
        page.html("<div class=\"figures\">");
        let mut pixels = Vec::new();
        for (i, (name, kernel)) in kernels.iter().enumerate() {
            let &[kh, kw, channels, filters] = kernel.shape() else { continue };
            if kh * kw == 1 {
                pixels.push(name.as_str());
                continue;
            }
            let (picture, shown) = filters_picture(kernel, [kh, kw, channels, filters]);
            let caption = format!("{name}: {shown}");
            page.picture(&format!("filters-{i}-{}", slug(name)), &picture, WANTED, &caption);
        }
        page.html("</div>");
        if !pixels.is_empty() {
            let names = pixels.join(", ");
            page.note(&format!("Filters of a single cell have no picture: {names}."));
        }
    }

    /// Feature maps and saliency.
    pub(super) fn looks(&self, page: &mut Page, model: &Model) -> Result<()> {
        let sections = [("maps", "Feature maps"), ("saliency", "Saliency")];
        let Some(held_out) = &self.held_out else {
            for (id, heading) in sections {
                page.section(id, heading);
                page.text("The report was given no samples to look at.");
            }
            return Ok(());
        };
        let shown = held_out.shown(&self.show, model)?;
        let columns = held_out.some(&shown)?;
        let truth = held_out.truth(model, &shown)?.ok();
        let titles: Vec<String> = shown
            .iter()
            .enumerate()
            .map(|(i, sample)| match &truth {
                Some(truth) => format!("Sample {sample}: {}", self.class(truth[i])),
                None => format!("Sample {sample}"),
            })
            .collect();

        page.section(sections[0].0, sections[0].1);
        page.note(
            "What each layer makes of a sample: a picture for each channel, dark is the layer's smallest number \
             and yellow its largest; rows of numbers read from the top left.",
        );
        let activations = model.activations(lend(&columns))?;
        let is_classifier = held_out::classes(model).is_ok();
        for (i, title) in titles.iter().enumerate() {
            page.heading(title);
            if let Some((_, scores)) = activations.last().filter(|_| is_classifier) {
                let scores = rows(scores.index_axis(Axis(0), i).iter().copied(), 1);
                self.bars(page, scores.as_slice().unwrap_or(&[]));
            }
            page.html("<div class=\"figures\">");
            for (step, (name, outputs)) in activations.iter().enumerate() {
                let output = outputs.index_axis(Axis(0), i);
                let output = output.as_slice().unwrap_or(&[]);
                let shape = &outputs.shape()[1..];
                let (picture, more) = maps(output, shape, step < model.network.inputs.len());
                let caption = format!("{name}: {}{more}", dims(shape));
                let name = format!("maps-{}-{step}-{}", shown[i], slug(name));
                let wanted = if step < model.network.inputs.len() { INPUT } else { WANTED };
                page.picture(&name, &picture, wanted, &caption);
            }
            page.html("</div>");
        }

        page.section(sections[1].0, sections[1].1);
        let network = &model.network;
        if network.outputs.len() != 1 {
            page.text("Saliency is that of a single output; the model has several.");
            return Ok(());
        }
        page.note(
            "Where the score of the predicted class changes most with a pixel: the size of the gradient, before \
             softmax, dark is none.",
        );
        let output = &activations[network.outputs[0]].1;
        let classes: Vec<usize> = (0..shown.len())
            .map(|i| arg_max(output.index_axis(Axis(0), i).as_slice().unwrap_or(&[0.0])))
            .collect();
        let gradients = model.input_gradients(lend(&columns), &classes)?;
        page.html("<div class=\"figures\">");
        for (i, title) in titles.iter().enumerate() {
            let mut caption = title.clone();
            if is_classifier {
                let scores = rows(output.index_axis(Axis(0), i).iter().copied(), 1);
                let predicted = arg_max(scores.as_slice().unwrap_or(&[0.0]));
                let _ = write!(caption, "; predicted: {}", self.class(predicted));
            }
            for (input, (gradient, column)) in gradients.iter().zip(&columns).enumerate() {
                saliency(page, [shown[i], i, input], &caption, column, gradient.view());
            }
        }
        page.html("</div>");
        Ok(())
    }

    /// The highest scores of a sample, as bars.
    fn bars(&self, page: &mut Page, scores: &[f32]) {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        let probabilities = scores.iter().all(|score| (0.0..=1.0).contains(score));
        let mut bars = String::from("<table class=\"bars\"><tbody>");
        for class in order.into_iter().take(NAMED) {
            let score = scores[class];
            let width = if probabilities { 100.0 * score } else { 0.0 };
            let _ = write!(
                bars,
                "<tr><th scope=\"row\">{}</th><td><div class=\"bar\" style=\"width:{width:.1}%\"></div></td>\
                 <td class=\"number\">{}</td></tr>",
                escape(&self.class(class)),
                sure(score)
            );
        }
        page.html(&(bars + "</tbody></table>"));
    }
}

/// A sample beside how much each of its pixels counts.
fn saliency(
    page: &mut Page,
    [sample, i, input]: [usize; 3],
    caption: &str,
    column: &Column<'_>,
    gradient: ArrayViewD<'_, f32>,
) {
    let (numbers, shape) = floats(column, i);
    let gradient = gradient.index_axis(Axis(0), i);
    let sizes: Vec<f32> = match gradient.ndim() {
        3 => gradient.lanes(Axis(2)).into_iter().map(largest).collect(),
        _ => gradient.iter().map(|x| x.abs()).collect(),
    };
    // From 0, which is what dark says.
    let scale = Scale::Viridis { least: 0.0, most: range(&sizes).1 };
    let heat = match *shape {
        [h, w, _] => Picture::channel(&sizes, [h, w, 1], 0, scale),
        _ => Picture::strip(&sizes, scale),
    };
    let pair = [Picture::sample(numbers, &shape), heat];
    let name = format!("saliency-{sample}-{input}");
    page.picture(&name, &Picture::grid(&pair, 2), 340, caption);
}

fn largest(channels: ndarray::ArrayView1<'_, f32>) -> f32 {
    channels.iter().fold(0.0, |most: f32, x| most.max(x.abs()))
}

/// The kernel's filters, and what is shown of them.
fn filters_picture(
    kernel: &ArrayViewD<'_, f32>,
    [kh, kw, channels, filters]: [usize; 4],
) -> (Picture, String) {
    let floats: Vec<f32> = kernel.iter().copied().collect();
    let size = format!("{} of {kh}×{kw}", counted(filters, "filter"));
    let first = filters.min(TILES);
    if channels == 3 {
        let range = range(&floats);
        let tiles: Vec<Picture> = (0..first)
            .map(|filter| {
                let filter: Vec<f32> =
                    floats.iter().skip(filter).step_by(filters).copied().collect();
                Picture::colored(&filter, [kh, kw], range)
            })
            .collect();
        return (Picture::grid(&tiles, columns(first)), size + &limited(first, filters));
    }
    let scale = Scale::signed(&floats);
    let tile = |filter: usize, channel: usize| {
        let at = channel * filters + filter;
        Picture::channel(&floats, [kh, kw, channels * filters], at, scale)
    };
    if channels == 1 {
        let tiles: Vec<Picture> = (0..first).map(|filter| tile(filter, 0)).collect();
        return (Picture::grid(&tiles, columns(first)), size + &limited(first, filters));
    }
    let (across, down) = (filters.min(ACROSS), channels.min(ACROSS));
    let tiles: Vec<Picture> = (0..down)
        .flat_map(|channel| (0..across).map(move |filter| (filter, channel)))
        .map(|(filter, channel)| tile(filter, channel))
        .collect();
    let [filters, channels] = [limited(across, filters), limited(down, channels)];
    let shown = format!("{size}, a column each{filters}; a row a channel{channels}");
    (Picture::grid(&tiles, across), shown)
}

/// `, the first 64 of 500`.
fn limited(shown: usize, all: usize) -> String {
    if shown == all { String::new() } else { format!(", the first {shown} of {all}") }
}

/// How many tiles stand in a row.
fn columns(tiles: usize) -> usize {
    match tiles {
        0..=8 => tiles,
        9..=24 => 8,
        _ => 16,
    }
}

/// The picture of an output, and what is shown of it.
fn maps(floats: &[f32], shape: &[usize], input: bool) -> (Picture, String) {
    match *shape {
        _ if input => (Picture::sample(floats, shape), String::new()),
        [h, w, c] if h * w > 1 => {
            let scale = Scale::viridis(floats);
            let shown = c.min(TILES);
            let tiles: Vec<Picture> = (0..shown)
                .map(|channel| Picture::channel(floats, [h, w, c], channel, scale))
                .collect();
            (Picture::grid(&tiles, columns(shown)), limited(shown, c))
        }
        _ => {
            let shown = floats.len().min(TILES * TILES);
            let all = floats.len();
            (Picture::strip(&floats[..shown], Scale::viridis(floats)), limited(shown, all))
        }
    }
}
