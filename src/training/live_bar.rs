//! The line at the foot of a terminal that is drawn over and over again.

#[cfg(feature = "progress")]
pub(super) use on_a_terminal::LiveBar;
#[cfg(not(feature = "progress"))]
pub(super) use without_terminal::LiveBar;

#[cfg(feature = "progress")]
mod on_a_terminal {
    use std::time::{Duration, Instant};

    use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

    /// As often as Keras: more is more than one can read.
    const INTERVAL: Duration = Duration::from_millis(50);

    #[derive(Debug)]
    pub(crate) struct LiveBar {
        bar: ProgressBar,
        drawn: Option<Instant>,
    }

    impl LiveBar {
        /// `None` if the standard output is not a terminal.
        pub(crate) fn new() -> Option<Self> {
            let target = ProgressDrawTarget::stdout();
            if target.is_hidden() {
                return None;
            }
            let style = ProgressStyle::with_template("{msg}").expect("a template that is right");
            let bar = ProgressBar::with_draw_target(None, target).with_style(style);
            Some(Self { bar, drawn: None })
        }

        /// Writes the line over the last one, unless that one is hardly drawn.
        pub(crate) fn draw(&mut self, now: Instant, line: impl FnOnce() -> String) {
            if self.drawn.is_none_or(|drawn| now - drawn >= INTERVAL) {
                self.bar.set_message(line());
                self.drawn = Some(now);
            }
        }

        /// Takes the line away, so that what is printed next takes its place.
        pub(crate) fn clear(&self) {
            self.bar.finish_and_clear();
        }
    }
}

#[cfg(not(feature = "progress"))]
mod without_terminal {
    use std::time::Instant;

    /// There is none.
    #[derive(Debug)]
    pub(crate) enum LiveBar {}

    impl LiveBar {
        pub(crate) fn new() -> Option<Self> {
            None
        }

        pub(crate) fn draw(&mut self, _now: Instant, _line: impl FnOnce() -> String) {
            match *self {}
        }

        pub(crate) fn clear(&self) {
            match *self {}
        }
    }
}
