//! The sections on the network and its training, and the order of all.

use super::architecture::{architecture, is_chain};
use super::chart::{Curve, Mark, chart};
use super::page::{Page, REFRESH};
use super::palette::{BLUE, GREEN, PURPLE, VERMILLION};
use super::text::{escape, number, slug};
use super::{Report, Stage};
use crate::error::Result;
use crate::kernels::simd::{Level, level};
use crate::model::Model;
use crate::words::{counted, thousands};

impl Report<'_> {
    /// Writes all sections; returns the numbers that matter most.
    pub(super) fn sections(&self, page: &mut Page, model: &Model) -> Result<Vec<(String, String)>> {
        self.layers(page, model);
        self.curves(page);
        self.pace(page);
        let accuracy = self.judge(page, model)?;
        self.filters(page, model);
        self.looks(page, model)?;
        self.environment(page);

        let mut facts = Vec::new();
        if let Some((accuracy, samples)) = accuracy {
            let name = format!("accuracy on {}", counted(samples, "sample"));
            facts.push((name, format!("{:.1} %", 100.0 * accuracy)));
        }
        // Those of the weights that the model has now.
        let epoch = self.restored.or(self.epochs.last().map(|epoch| epoch.number));
        let epoch = self.epochs.iter().find(|other| Some(other.number) == epoch);
        for (key, name) in [("val_loss", "validation loss"), ("loss", "training loss")] {
            let value = epoch.and_then(|epoch| epoch.logs.iter().find(|(known, _)| known == key));
            facts.extend(value.map(|(_, value)| (name.to_string(), number(*value))));
        }
        facts.push(("parameters".to_string(), thousands(model.count_params())));
        if !self.epochs.is_empty() {
            facts.push(("epochs".to_string(), thousands(self.epochs.len())));
        }
        Ok(facts)
    }

    /// What stands under the heading.
    pub(super) fn subtitle(&self, stage: Stage) -> String {
        let seconds: f64 = self.epochs.iter().map(|epoch| epoch.seconds).sum();
        let done = self.epochs.last().map_or(0, |epoch| epoch.number + 1);
        match (stage, self.of) {
            (Stage::Live, Some(of)) => format!(
                "Training: {done} of at most {} done. This page is loaded anew every {REFRESH} seconds.",
                counted(of, "epoch")
            ),
            (_, None) => "The network as it is; this report has seen no training.".to_string(),
            _ => {
                let mut text = format!(
                    "Trained for {} in {}",
                    counted(self.epochs.len(), "epoch"),
                    time(seconds)
                );
                if let Some(epoch) = self.stopped {
                    text += &format!(", stopped early after epoch {}", epoch + 1);
                }
                if let Some(epoch) = self.restored {
                    text += &format!("; the weights are those of epoch {}", epoch + 1);
                }
                text + "."
            }
        }
    }

    fn layers(&self, page: &mut Page, model: &Model) {
        page.section("architecture", "Architecture");
        page.note(
            "Each layer with the shape of its output, height × width × channels, how it is set, and the \
             arithmetic of its size and its parameters.",
        );
        let network = &model.network;
        if is_chain(network) {
            // In one column where the screen is narrow, in several where there is room.
            let columns = (network.steps.len() / 3).clamp(1, 3);
            page.html(&format!(
                "<div class=\"narrow\">{}</div>",
                architecture(network, 1).inline("fit")
            ));
            page.html("<div class=\"roomy\">");
            page.drawing("architecture", "fit", &architecture(network, columns));
            page.html("</div>");
        } else {
            page.drawing("architecture", "fit", &architecture(network, 1));
        }
    }

    /// Every number of the epochs, once for training and once for validation.
    fn curves(&self, page: &mut Page) {
        page.section("curves", "Loss and metrics");
        let keys: Vec<&str> = match self.epochs.first() {
            Some(epoch) => epoch.logs.iter().map(|(name, _)| name.as_str()).collect(),
            None => {
                let why = if self.of.is_some() {
                    "No epoch is over yet."
                } else {
                    "Nothing was trained."
                };
                return page.text(why);
            }
        };
        let mut names: Vec<&str> = keys
            .iter()
            .copied()
            .filter(|key| !key.starts_with("val_") && *key != "learning_rate")
            .collect();
        names.sort_by_key(|name| (*name != "loss", *name));
        let mut marks = Vec::new();
        marks.extend(self.restored.map(|epoch| Mark { epoch, why: "restored" }));
        marks.extend(self.stopped.map(|epoch| Mark { epoch, why: "stopped" }));
        if !keys.iter().any(|key| key.starts_with("val_")) {
            page.text("There were no validation data, so the curves are those of training alone.");
        }
        page.html("<div class=\"charts\">");
        for name in names {
            let curve = |key: &str, name: &str, color| Curve {
                name: name.to_string(),
                color,
                points: self.points(key),
            };
            let mut curves = vec![curve(name, "training", BLUE)];
            let held_out = format!("val_{name}");
            if keys.contains(&held_out.as_str()) {
                curves.push(curve(&held_out, "validation", VERMILLION));
            }
            page.drawing(&format!("curve-{}", slug(name)), "chart", &chart(name, &curves, &marks));
        }
        page.html("</div>");
    }

    /// The value of a number after each epoch.
    fn points(&self, key: &str) -> Vec<(usize, f64)> {
        let value = |epoch: &super::Epoch| {
            let value = epoch.logs.iter().find(|(name, _)| name == key);
            value.map(|(_, value)| (epoch.number, *value))
        };
        self.epochs.iter().filter_map(value).collect()
    }

    fn pace(&self, page: &mut Page) {
        page.section("pace", "Learning rate and time");
        if self.epochs.is_empty() {
            return page.text("There are no epochs to tell of.");
        }
        page.html("<div class=\"charts\">");
        for (name, title, color, value) in [
            (
                "learning-rate",
                "learning rate",
                PURPLE,
                (|epoch| epoch.learning_rate) as fn(&super::Epoch) -> f64,
            ),
            ("seconds", "seconds an epoch, with validation", GREEN, |epoch| epoch.seconds),
        ] {
            let points = self.epochs.iter().map(|epoch| (epoch.number, value(epoch))).collect();
            let curve = Curve { name: title.to_string(), color, points };
            page.drawing(name, "chart", &chart(title, &[curve], &[]));
        }
        page.html("</div>");
    }

    fn environment(&self, page: &mut Page) {
        page.section("environment", "Environment");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let rows = [
            ("convnet", env!("CARGO_PKG_VERSION").to_string()),
            ("system", format!("{}, {}", std::env::consts::OS, std::env::consts::ARCH)),
            ("instruction set", instructions(level()).to_string()),
            ("threads", format!("{} on {}", rayon::current_num_threads(), counted(cores, "core"))),
            ("seed", self.seed.map_or("not told".to_string(), |seed| seed.to_string())),
        ];
        page.html("<div class=\"scroll\"><table class=\"plain\"><tbody>");
        for (name, value) in rows {
            page.html(&format!(
                "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>",
                escape(&value)
            ));
        }
        page.html("</tbody></table></div>");
        page.html(&format!("<pre><code>{}</code></pre>", escape(&self.command)));
        page.note(
            "The same seed gives the same bits on any number of threads; other instruction sets differ in \
             the last ones.",
        );
    }
}

fn instructions(level: Level) -> &'static str {
    match level {
        Level::Plain => "the target's baseline",
        Level::Avx2 => "AVX2 and FMA",
        Level::Avx512 => "AVX-512",
    }
}

/// `12.3 s`, `4 min 05 s`, `2 h 05 min`.
fn time(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{} s", number(seconds)),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_read_easily() {
        for (seconds, text) in [(1.234, "1.23 s"), (245.2, "4 min 05 s"), (7500.0, "2 h 05 min")] {
            assert_eq!(time(seconds), text);
        }
    }
}
