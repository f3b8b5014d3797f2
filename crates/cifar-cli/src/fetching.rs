//! Fetching the data with a bar on a terminal and a few lines in a pipe.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cifar_data::fetch::{FetchOptions, Fetched, Progress, ServedBy, fetch as fetch_data};
use indicatif::{ProgressBar, ProgressStyle};

use crate::console::Console;

const BYTES: &str = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}  ETA {eta}";
const COUNT: &str = "{msg} [{bar:30}] {pos}/{len}";

/// Makes sure that the official files are in `data_dir`; quick where they are.
///
/// `archive`: a local copy to use instead of the network.
pub(crate) fn fetch(
    data_dir: &Path,
    archive: Option<&PathBuf>,
    console: &mut Console,
) -> anyhow::Result<Fetched> {
    let options =
        FetchOptions { data_dir: data_dir.to_owned(), archive: archive.cloned(), download: true };
    let mut display = Display { bar: None, console, result: Ok(()) };
    let fetched = fetch_data(&options, &mut |progress| display.show(progress))?;
    display.close();
    display.result?;
    if fetched.source != ServedBy::Disk {
        console.line(format!(
            "Data from {} in {}, verified",
            fetched.source.name(),
            fetched.path.display()
        ))?;
    }
    Ok(fetched)
}

struct Display<'a> {
    bar: Option<ProgressBar>,
    console: &'a mut Console,
    /// The first failure to write; fetching itself goes on.
    result: std::io::Result<()>,
}

impl Display<'_> {
    fn show(&mut self, progress: Progress) {
        match progress {
            Progress::Source { name } => {
                self.close();
                tracing::info!(source = name, "trying");
            }
            Progress::Bytes { done, total } => self.bar("Downloading", BYTES, done, total),
            Progress::Rebuilding { done, total } => {
                self.bar("Writing batches", COUNT, done as u64, Some(total as u64))
            }
            Progress::Verifying { file } => tracing::info!(file = %file.display(), "verifying"),
            Progress::Note(text) => {
                self.close();
                let written = self.console.line(text);
                self.result = std::mem::replace(&mut self.result, Ok(())).and(written);
            }
            _ => {}
        }
    }

    fn bar(&mut self, what: &'static str, template: &str, done: u64, total: Option<u64>) {
        if !self.console.is_terminal() {
            return;
        }
        if self.bar.as_ref().is_some_and(|bar| bar.message() != what) {
            self.close();
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
            bar.set_style(
                ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.set_message(what);
            bar.enable_steady_tick(Duration::from_millis(200));
            // Bytes of an earlier attempt cost no time in this one.
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        bar.set_position(done);
    }

    fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_parse() {
        for template in [BYTES, COUNT] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
