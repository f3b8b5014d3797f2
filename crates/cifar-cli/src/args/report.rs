//! Arguments of `report` and `compare`.

use std::path::PathBuf;

use clap::Args;

use super::ComputeArgs;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// A run's folder
    pub(crate) run: PathBuf,
    /// The page [default: RUN/report.html]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Folder of the data set; nothing is fetched. Without it the page has no pictures
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data_dir: PathBuf,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON document on standard output, all else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Folders of runs
    #[arg(required = true, num_args = 1.., value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// The page
    #[arg(long, value_name = "FILE", default_value = "compare.html")]
    pub(crate) out: PathBuf,
    /// Print one JSON document on standard output, all else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}
