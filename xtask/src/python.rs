//! Virtual environments of Python, in the target folder.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{process, workspace};

/// Packages of a fixed version, for one purpose.
pub(crate) struct Environment {
    /// Names the environment's folder.
    pub(crate) purpose: &'static str,
    /// The file that names them, from the workspace's root.
    pub(crate) requirements: &'static str,
    /// What a person is told to wait for.
    pub(crate) content: &'static str,
}

const REMEDY: &str = "install Python 3.11 or newer with its venv module \
                      (on Debian: apt-get install python3 python3-venv) and run the command again";

impl Environment {
    /// Its Python. The environment, `target/PURPOSE-venv`, is made anew when the requirements have
    /// changed. Where another program is making it, this one waits.
    pub(crate) fn python(&self) -> Result<PathBuf> {
        let folder = workspace::target().join(format!("{}-venv", self.purpose));
        let lock = locked(&folder.with_extension("lock"))?;
        let requirements = workspace::root().join(self.requirements);
        let wanted =
            fs::read(&requirements).with_context(|| format!("read {}", requirements.display()))?;
        // Written last, so it tells a whole environment from one whose making was interrupted.
        let installed = folder.join("requirements.txt");
        let python = folder.join("bin/python");
        if !fs::read(&installed).is_ok_and(|found| found == wanted) {
            self.make(&folder, &python, &requirements, &lock)?;
            fs::write(&installed, wanted)
                .with_context(|| format!("write {}", installed.display()))?;
        }
        Ok(python)
    }

    fn make(&self, folder: &Path, python: &Path, requirements: &Path, lock: &File) -> Result<()> {
        if Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_err() {
            bail!("there is no `python3`; {REMEDY}");
        }
        println!("making {} with {}; this takes a while", folder.display(), self.content);
        // Given the lock to read from, which they never do, these programs hold it until they end. They
        // outlive this one where another step of `ci` fails meanwhile.
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(folder).stdin(lock.try_clone()?);
        process::run(&mut venv).context(REMEDY)?;
        let mut install = Command::new(python);
        install
            .stdin(lock.try_clone()?)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .arg("--requirement")
            .arg(requirements);
        process::run(&mut install).with_context(|| {
            format!(
                "the packages of {} could not be installed; is the package registry within reach, \
                 and is there room for {} on the disk of {}?",
                requirements.display(),
                self.content,
                folder.display()
            )
        })
    }
}

/// The file, made if need be, once no other program has locked it.
fn locked(path: &Path) -> Result<File> {
    let lock = || {
        fs::create_dir_all(workspace::target())?;
        let file = File::options().read(true).append(true).create(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {
                println!("waiting for the program that has locked {}", path.display());
                file.lock()?;
            }
        }
        Ok(file)
    };
    lock().with_context(|| format!("lock {}", path.display()))
}
