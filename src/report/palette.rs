//! The colours of all pictures: those of Okabe and Ito (2008), which colour-blind people tell apart, and
//! greys. Pictures are drawn in the light ones; `style.css` gives each its dark one.

/// Text, and text beside it.
pub(super) const INK: &str = "#1F2933";
pub(super) const MUTED: &str = "#5B6770";
/// Lines of a grid, borders, the ground of boxes.
pub(super) const GRID: &str = "#DDE2E7";
pub(super) const BORDER: &str = "#B8C1CA";
pub(super) const PAPER: &str = "#FFFFFF";
/// Text on a dark cell.
pub(super) const ON_DARK: &str = "#FEFEFE";
/// Training, validation, and what else there is.
pub(super) const BLUE: &str = "#0072B2";
pub(super) const VERMILLION: &str = "#D55E00";
pub(super) const GREEN: &str = "#009E73";
pub(super) const PURPLE: &str = "#B5588F";

/// All of them.
#[cfg(test)]
pub(super) const ALL: [&str; 10] =
    [INK, MUTED, GRID, BORDER, PAPER, ON_DARK, BLUE, VERMILLION, GREEN, PURPLE];
