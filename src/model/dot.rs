//! The graph in Graphviz' language.

use std::fmt::Write;

use super::Model;
use super::network::Step;
use crate::words::thousands;

impl Model {
    /// The graph of layers in the language of Graphviz, for a picture by `dot -Tsvg`: a box for each layer
    /// with its name, class, output shape and number of weights. Keras: `plot_model`.
    ///
    /// ```
    /// use convnet::prelude::*;
    ///
    /// let x = Input::new(3).name("numbers");
    /// let model = Model::new(&x, x.apply(Dense::new(2).name("a \"b\""))?)?;
    /// let dot = model.to_dot();
    /// assert!(dot.contains(r#"1 [label="a \"b\" (Dense)\n(2)\n8 params"];"#));
    /// assert!(dot.contains("0 -> 1;"));
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn to_dot(&self) -> String {
        let mut dot =
            String::from("digraph model {\n    node [shape=box, fontname=\"Helvetica\"];\n");
        for (i, step) in self.network.steps.iter().enumerate() {
            let _ = writeln!(dot, "    {i} [label=\"{}\"];", label(step));
            for input in &step.inputs {
                let _ = writeln!(dot, "    {input} -> {i};");
            }
        }
        dot + "}\n"
    }
}

fn label(step: &Step) -> String {
    let mut label = format!("{} ({})\\n{}", escaped(&step.name), step.class_name(), step.shape);
    let params = step.count_params();
    if params > 0 {
        let _ = write!(label, "\\n{} params", thousands(params));
    }
    label
}

/// A name as a quoted string of the language takes it: backslashes would begin escapes there.
fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use crate::graph::{Input, Nodes};
    use crate::layers::{Add, Conv2D, Layer};
    use crate::model::Model;

    #[test]
    fn branches_and_hostile_names() {
        let image = Input::new([8, 8, 3]).name("a\"]; b [label=\\");
        let left = image.apply(Conv2D::new(4, 3).name("one\nline")).unwrap();
        let right = image.apply(Conv2D::new(4, 3)).unwrap();
        let model = Model::new(&image, [left, right].apply(Add::new()).unwrap()).unwrap();
        let dot = model.to_dot();
        assert_eq!(
            dot,
            r#"digraph model {
    node [shape=box, fontname="Helvetica"];
    0 [label="a\"]; b [label=\\ (InputLayer)\n(8, 8, 3)"];
    1 [label="one line (Conv2D)\n(6, 6, 4)\n112 params"];
    0 -> 1;
    2 [label="conv2d (Conv2D)\n(6, 6, 4)\n112 params"];
    0 -> 2;
    3 [label="add (Add)\n(6, 6, 4)"];
    1 -> 3;
    2 -> 3;
}
"#
        );
    }
}
