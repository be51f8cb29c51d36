//! The report: the page as a text, and as a browser shows it.

mod in_browser;
mod page;

/// What the sections are called, from top to bottom.
const SECTIONS: [&str; 10] = [
    "architecture",
    "curves",
    "pace",
    "confusion",
    "scores",
    "mistakes",
    "filters",
    "maps",
    "saliency",
    "environment",
];
