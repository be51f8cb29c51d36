//! What a layer says of itself where a model is explained.

use super::{Activation, Padding, Pair, snake_case};
use crate::kernels::window::Window;

/// How a layer is set and how the size of its output comes about, in words.
///
/// ```
/// use convnet::prelude::*;
///
/// let conv = Conv2D::new(6, 5).padding(Same).activation(Relu);
/// let details = conv.details(&[[28, 28, 1].into()]);
/// assert_eq!(
///     details.settings,
///     ["6 filters of 5×5", "strides 1×1", "padding same", "activation relu"]
/// );
/// assert_eq!(details.size, ["height and width: (28 + 2·2 − 5)/1 + 1 = 28", "channels: 6 filters"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Its settings: `strides 1×1`.
    pub settings: Vec<String>,
    /// The arithmetic of the output's size: `height and width: (28 + 2·2 − 5)/1 + 1 = 28`.
    pub size: Vec<String>,
}

impl Details {
    /// With one more setting.
    pub(super) fn setting(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// With one more line on the output's size.
    pub(super) fn sized(mut self, line: impl Into<String>) -> Self {
        self.size.push(line.into());
        self
    }

    /// With how a kernel or a pool moves over the image.
    pub(super) fn window(mut self, window: &Window, padding: Padding) -> Self {
        let dilated = window.dilation != [1, 1];
        self = self.setting(format!("strides {}", Pair(window.strides)));
        self = self.setting(match padding {
            Padding::Valid => "padding valid",
            Padding::Same => "padding same",
        });
        if dilated {
            self = self.setting(format!("dilation_rate {}", Pair(window.dilation)));
        }
        let [height, width] = [0, 1].map(|axis| extent(window, axis));
        if height == width {
            return self.sized(format!("height and width: {height}"));
        }
        self.sized(format!("height: {height}")).sized(format!("width: {width}"))
    }

    /// With a pool of this size over an image of so many channels.
    pub(super) fn pool(
        self,
        size: Pair,
        padding: Padding,
        window: &Window,
        channels: usize,
    ) -> Self {
        self.setting(format!("pools of {size}"))
            .window(window, padding)
            .sized(format!("channels: {channels}, each pooled alone"))
    }

    /// With the activation the layer ends with.
    pub(super) fn activation(self, activation: Activation) -> Self {
        if activation == Activation::Linear {
            return self;
        }
        self.setting(format!("activation {}", snake_case(&format!("{activation:?}"))))
    }
}

/// `(28 + 2·2 − 5)/1 + 1 = 28`: the cells, those added before and behind, those under the kernel, and the
/// stride, rounded down where it does not go in.
fn extent(window: &Window, axis: usize) -> String {
    let [n, k, s, d, before, output] = [
        window.input,
        window.kernel,
        window.strides,
        window.dilation,
        window.before,
        window.output,
    ]
    .map(|of| of[axis]);
    let behind = window.behind(axis);
    let added = match (before, behind) {
        (0, 0) => String::new(),
        _ if before == behind => format!(" + 2·{before}"),
        _ => format!(" + {before} + {behind}"),
    };
    let kernel = if d == 1 { k.to_string() } else { format!("(({k} − 1)·{d} + 1)") };
    let steps = format!("({n}{added} − {kernel})/{s}");
    // Cells are only left over where none is added.
    let rounded = behind == 0 && !(n - window.extent(axis)).is_multiple_of(s);
    let steps = if rounded { format!("⌊{steps}⌋") } else { steps };
    format!("{steps} + 1 = {output}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(
        input: [usize; 2],
        [kernel, strides, dilation]: [[usize; 2]; 3],
        padding: Padding,
    ) -> Vec<String> {
        let window = Window::new(input, kernel, strides, dilation, padding).unwrap();
        Details::default().window(&window, padding).size
    }

    #[test]
    fn the_arithmetic_is_the_one_of_the_window() {
        use Padding::{Same, Valid};
        let one = [1, 1];
        for (input, sizes, padding, wanted) in [
            ([28; 2], [[5; 2], one, one], Same, "(28 + 2·2 − 5)/1 + 1 = 28"),
            ([28; 2], [[5; 2], one, one], Valid, "(28 − 5)/1 + 1 = 24"),
            ([28; 2], [[4; 2], one, one], Same, "(28 + 1 + 2 − 4)/1 + 1 = 28"),
            ([28; 2], [[3; 2], [2; 2], one], Same, "(28 + 0 + 1 − 3)/2 + 1 = 14"),
            ([227; 2], [[11; 2], [4; 2], one], Valid, "(227 − 11)/4 + 1 = 55"),
            ([14; 2], [[3; 2], [2; 2], one], Valid, "⌊(14 − 3)/2⌋ + 1 = 6"),
            ([28; 2], [[3; 2], one, [2; 2]], Valid, "(28 − ((3 − 1)·2 + 1))/1 + 1 = 24"),
            ([28; 2], [[3; 2], one, [2; 2]], Same, "(28 + 2·2 − ((3 − 1)·2 + 1))/1 + 1 = 28"),
            ([29; 2], [[2; 2], [4; 2], one], Same, "(29 + 0 + 1 − 2)/4 + 1 = 8"),
            ([7; 2], [[1; 2], [3; 2], one], Same, "(7 − 1)/3 + 1 = 3"),
            ([8; 2], [[1; 2], [3; 2], one], Same, "⌊(8 − 1)/3⌋ + 1 = 3"),
        ] {
            let found = lines(input, sizes, padding);
            assert_eq!(found, [format!("height and width: {wanted}")]);
        }
        let found = lines([7, 9], [[2, 3], [1, 2], one], Valid);
        assert_eq!(found, ["height: (7 − 2)/1 + 1 = 6", "width: (9 − 3)/2 + 1 = 4"]);
    }

    /// What is written, computed.
    #[test]
    fn the_arithmetic_adds_up() {
        for n in 1..12 {
            for k in 1..5 {
                for s in 1..5 {
                    for padding in [Padding::Valid, Padding::Same] {
                        let sizes = ([n; 2], [k; 2], [s; 2], [1; 2], padding);
                        let Some(window) = Window::new(sizes.0, sizes.1, sizes.2, sizes.3, sizes.4)
                        else {
                            continue;
                        };
                        let text = extent(&window, 0);
                        let (steps, output) = text.split_once(" + 1 = ").unwrap();
                        let steps = steps.trim_matches(['⌊', '⌋']);
                        let (cells, stride) = steps.rsplit_once('/').unwrap();
                        let cells = cells.trim_matches(['(', ')']);
                        let (added, kernel) = cells.split_once(" − ").unwrap();
                        let product = |term: &str| -> usize {
                            term.split('·').map(|factor| factor.parse::<usize>().unwrap()).product()
                        };
                        let cells: usize = added.split(" + ").map(product).sum();
                        let steps = (cells - product(kernel)) / product(stride);
                        assert_eq!(steps + 1, product(output), "{text}");
                        assert_eq!(
                            text.contains('⌊'),
                            !(cells - product(kernel)).is_multiple_of(s),
                            "{text}"
                        );
                    }
                }
            }
        }
    }
}
