//! `fetch-data`: the official CIFAR-10 files, verified.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use cifar_data::fetch::{FetchOptions, Progress, ServedBy, fetch};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::workspace;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where the files go [default: data/ of this workspace]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A local copy of the official archive, instead of the network
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let data_dir = arguments.data_dir.clone().unwrap_or_else(|| workspace::root().join("data"));
    let options = FetchOptions { data_dir, archive: arguments.archive.clone(), download: true };
    let start = Instant::now();
    let mut display = Display { bar: None, tenths_told: 0 };
    let fetched = fetch(&options, &mut |progress| display.show(progress))?;
    display.close();
    let place = shortest(&fetched.path).display();
    let took = start.elapsed().as_secs_f64();
    match fetched.source {
        ServedBy::Disk => println!("{place} is complete and verified ({took:.2} s)"),
        source => {
            println!("{place} is complete and verified, served by {} ({took:.0} s)", source.name())
        }
    }
    Ok(())
}

fn shortest(path: &Path) -> &Path {
    path.strip_prefix(workspace::root()).unwrap_or(path)
}

/// A moving bar for a person, a line every tenth for a log.
struct Display {
    bar: Option<ProgressBar>,
    tenths_told: u64,
}

impl Display {
    fn show(&mut self, progress: Progress) {
        match progress {
            Progress::Source { name } => {
                self.close();
                println!("trying {name}");
            }
            Progress::Bytes { done, total } => self.bytes(done, total),
            Progress::Rebuilding { done, total } => {
                self.close();
                println!("batch {done} of {total} written");
            }
            Progress::Verifying { .. } => self.close(),
            Progress::Note(text) => {
                self.close();
                println!("{text}");
            }
            _ => {}
        }
    }

    fn bytes(&mut self, done: u64, total: Option<u64>) {
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| {
                let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
                // What an earlier attempt left on the disk says nothing about this one's speed.
                bar.with_style(style()).with_position(done)
            });
            bar.set_position(done);
        } else if let Some(total) = total.filter(|total| *total > 0) {
            let tenths = 10 * done / total;
            if tenths > self.tenths_told {
                self.tenths_told = tenths;
                println!("{} MB of {} MB, {} %", done / 1_000_000, total / 1_000_000, 10 * tenths);
            }
        }
    }

    fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.tenths_told = 0;
    }
}

fn style() -> ProgressStyle {
    let template = "{bar:30} {percent:>3} %  {bytes}/{total_bytes}  {bytes_per_sec}  ETA {eta}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_told_relative_to_the_workspace() {
        assert_eq!(shortest(&workspace::root().join("data/x")), Path::new("data/x"));
        assert_eq!(shortest(Path::new("elsewhere/x")), Path::new("elsewhere/x"));
    }
}
