//! What a person sees while `ddm up` starts and stops: a spinner on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// Shows steps.
#[derive(Clone, Debug)]
pub struct Progress {
    /// `None` where standard error is no terminal.
    spinner: Option<ProgressBar>,
}

impl Progress {
    /// Begins to show.
    pub fn new() -> Self {
        let spinner = std::io::stderr().is_terminal().then(|| {
            let spinner = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
                .expect("the template is fixed");
            spinner.set_style(style);
            spinner.enable_steady_tick(TICK);
            spinner
        });
        Self { spinner }
    }

    /// The next step.
    pub fn step(&self, text: &str) {
        match &self.spinner {
            Some(spinner) => spinner.set_message(text.to_owned()),
            None => eprintln!("ddm: {text}"),
        }
    }

    /// Something that stays visible.
    pub fn note(&self, text: &str) {
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| eprintln!("ddm: {text}")),
            None => eprintln!("ddm: {text}"),
        }
    }

    /// Gives the terminal back.
    pub fn done(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }

    /// As a function, for libraries.
    pub fn line(&self) -> Arc<dyn Fn(&str) + Send + Sync> {
        let progress = self.clone();
        Arc::new(move |text| progress.step(text))
    }
}
