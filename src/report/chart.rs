//! Curves over the epochs.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::palette::{BORDER, GRID, INK, MUTED};
use super::svg::{Anchor, Svg};
use super::text::{tick, width};

/// A line with its name and colour: the value after each epoch.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) color: &'static str,
    pub(super) points: Vec<(usize, f64)>,
}

/// An epoch to be marked, and why.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) epoch: usize,
    pub(super) why: &'static str,
}

/// The size of a chart; curves are drawn at twice that, since their backend knows whole pixels only.
const WIDTH: u32 = 420;
const HEIGHT: u32 = 310;
const FINE: u32 = 2;
/// The most epochs of which each has a dot.
const DOTS: usize = 40;

/// One chart: what it shows, the curves, and the epochs to mark. Epochs are shown counted from 1.
pub(super) fn chart(title: &str, curves: &[Curve], marks: &[Mark]) -> Svg {
    let mut svg = Svg::new(WIDTH.into(), HEIGHT.into(), format!("{title} after each epoch"));
    svg.text_with([16.0, 26.0], 15.0, Anchor::Start, INK, "font-weight=\"600\"", title);
    let mut x = 16.0;
    for curve in curves.iter().filter(|_| curves.len() > 1) {
        svg.shape(
            "path",
            &format!("d=\"M{x} 44 h18\" stroke=\"{}\" stroke-width=\"3\"", curve.color),
        );
        svg.text([x + 24.0, 48.0], 12.5, Anchor::Start, INK, &curve.name);
        x += 24.0 + width(&curve.name, 12.5) + 16.0;
    }
    svg.body.push_str("<g transform=\"scale(0.5)\">\n");
    match drawn(curves, marks) {
        Ok(body) => svg.body.push_str(&body),
        Err(why) => svg.text([32.0, 200.0], 24.0, Anchor::Start, MUTED, &why),
    }
    svg.body.push_str("</g>\n");
    svg
}

/// The elements of the curves and their axes.
fn drawn(curves: &[Curve], marks: &[Mark]) -> Result<String, String> {
    let finite = |curve: &Curve| {
        let points = curve.points.iter().filter(|(_, value)| value.is_finite());
        points.map(|&(epoch, value)| (epoch as i32 + 1, value)).collect::<Vec<_>>()
    };
    let all: Vec<(i32, f64)> = curves.iter().flat_map(finite).collect();
    let (Some(first), Some(last)) =
        (all.iter().map(|point| point.0).min(), all.iter().map(|point| point.0).max())
    else {
        return Err("there is nothing to draw yet".to_string());
    };
    let (least, most) = all.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), p| {
        (least.min(p.1), most.max(p.1))
    });
    let room = if most > least { (most - least) * 0.06 } else { least.abs().max(1e-3) * 0.5 };
    // A number that is never negative has no room below 0.
    let least = if least >= 0.0 { (least - room).max(0.0) } else { least - room };
    let (epochs, values) = (first..last.max(first + 1), least..most + room);

    // Each mark has a line of its own above the curves.
    let top = 112 + 32 * marks.len() as i32;
    let mut body = String::new();
    {
        let drawing = SVGBackend::with_string(&mut body, (WIDTH * FINE, HEIGHT * FINE));
        let drawing = drawing.into_drawing_area();
        let area = drawing.margin(top as u32, 16, 16, 32);
        let axes = |why: &dyn std::fmt::Display| format!("it cannot be drawn: {why}");
        let mut chart = ChartBuilder::on(&area)
            .x_label_area_size(84)
            .y_label_area_size(116)
            .build_cartesian_2d(epochs, values)
            .map_err(|why| axes(&why))?;
        let ticks = (last - first + 1).min(10) as usize;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(ticks.max(2))
            .y_labels(6)
            .light_line_style(TRANSPARENT)
            .bold_line_style(rgb(GRID).stroke_width(2))
            .axis_style(rgb(BORDER).stroke_width(2))
            .label_style(label(24.0, MUTED))
            .y_label_formatter(&|value| tick(*value))
            .x_desc("epoch")
            .axis_desc_style(label(25.0, MUTED))
            .draw()
            .map_err(|why| axes(&why))?;
        for (i, mark) in marks.iter().enumerate() {
            let epoch = mark.epoch as i32 + 1;
            let line = chart.backend_coord(&(epoch, most));
            let top = 112 + 32 * i as i32;
            let (_, bottom) = chart.backend_coord(&(epoch, least));
            let style = rgb(INK).stroke_width(2);
            for dash in (top..bottom).step_by(12) {
                let dash = vec![(line.0, dash), (line.0, (dash + 6).min(bottom))];
                let drawn = drawing.draw(&PathElement::new(dash, style));
                drawn.map_err(|why| axes(&why))?;
            }
            // On the side where there is room.
            let text = format!("{} {epoch}", mark.why);
            let room = width(&text, 24.0) as i32 + 16;
            let right = line.0 + room < (WIDTH * FINE) as i32;
            let (by, h) = if right { (8, HPos::Left) } else { (-8, HPos::Right) };
            let style = label(24.0, INK).pos(Pos::new(h, VPos::Top));
            let text = Text::new(text, (line.0 + by, top), style);
            drawing.draw(&text).map_err(|why| axes(&why))?;
        }
        for curve in curves {
            let (points, color) = (finite(curve), rgb(curve.color));
            let line = LineSeries::new(points.iter().copied(), color.stroke_width(4));
            chart.draw_series(line).map_err(|why| axes(&why))?;
            if points.len() <= DOTS {
                let dots = points.iter().map(|&point| Circle::new(point, 6, color.filled()));
                chart.draw_series(dots).map_err(|why| axes(&why))?;
            }
        }
        drawing.present().map_err(|why| axes(&why))?;
    }
    // The elements without the tag round them.
    let start = body.find("<svg").and_then(|tag| body[tag..].find('>').map(|end| tag + end + 1));
    let end = body.rfind("</svg>");
    match (start, end) {
        (Some(start), Some(end)) if start <= end => Ok(body[start..end].to_string()),
        _ => Err("it cannot be drawn".to_string()),
    }
}

fn rgb(color: &str) -> RGBColor {
    let part = |at: usize| u8::from_str_radix(&color[at..at + 2], 16).unwrap_or_default();
    RGBColor(part(1), part(3), part(5))
}

/// Letters of a size; the backend takes 1.24 as much as it is told.
fn label(size: f64, color: &str) -> TextStyle<'static> {
    ("sans-serif", size * 1.24).into_font().color(&rgb(color))
}
