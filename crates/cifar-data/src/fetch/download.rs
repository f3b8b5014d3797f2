//! Downloading one file, going on where an earlier attempt stopped.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};

use super::Progress;
use super::error::{FetchError, Obstacle, chain};

/// Bytes between two reports of progress.
const REPORT_LEN: u64 = 1 << 18;

/// How long to wait for a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Until the name is resolved, and until the connection stands.
    pub(super) connect: Duration,
    /// Until the next bytes arrive.
    pub(super) read: Duration,
    /// Before the second attempt; doubles each time.
    pub(super) pause: Duration,
    /// Attempts in a row that bring nothing new.
    pub(super) fruitless_attempts: u32,
}

impl Patience {
    pub(super) const USUAL: Self = Self {
        connect: Duration::from_secs(10),
        read: Duration::from_secs(30),
        pause: Duration::from_millis(500),
        fruitless_attempts: 4,
    };
}

/// A client that trusts the operating system's certificates and gives up on a silent server.
pub(super) fn agent(patience: Patience) -> Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .tls_config(tls)
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_per_read(Some(patience.read))
        .http_status_as_error(false)
        .user_agent(concat!("cifar/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

/// A file on its way from a server.
pub(super) struct Download<'a> {
    pub(super) agent: &'a Agent,
    pub(super) patience: Patience,
    pub(super) url: &'a str,
    /// Where it is written to; the bytes of an earlier attempt may be there.
    pub(super) target: PathBuf,
}

/// What identifies the file on the server, kept beside an unfinished download so that bytes of
/// two different files are never put together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    /// `ETag` if it is a strong one, else `Last-Modified`.
    validator: Option<String>,
    total: Option<u64>,
}

/// Why an attempt ended before the file did.
enum Interruption {
    /// A later attempt may succeed.
    Passing(String),
    /// It would not.
    Final(Obstacle),
}

impl From<FetchError> for Interruption {
    fn from(error: FetchError) -> Self {
        Self::Final(error.into())
    }
}

impl Download<'_> {
    /// Downloads what is missing. Attempts that bring new bytes are followed by another; so are
    /// a few that do not, once there was a connection.
    pub(super) fn run(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), Obstacle> {
        let mut fruitless = 0;
        loop {
            let before = self.len();
            let reason = match self.attempt(progress) {
                Ok(()) => return Ok(()),
                Err(Interruption::Final(Obstacle::Local(error))) => {
                    self.discard();
                    return Err(error.into());
                }
                Err(Interruption::Final(obstacle)) => return Err(obstacle),
                Err(Interruption::Passing(reason)) => reason,
            };
            fruitless = if self.len() > before { 1 } else { fruitless + 1 };
            if fruitless >= self.patience.fruitless_attempts {
                return Err(Obstacle::Source(reason));
            }
            progress(Progress::Note(format!("{reason}; trying again")));
            thread::sleep(self.patience.pause * (1 << (fruitless - 1)));
        }
    }

    /// Removes what was downloaded.
    pub(super) fn discard(&self) {
        let _ = fs::remove_file(&self.target);
        let _ = fs::remove_file(self.identity_path());
    }

    fn len(&self) -> u64 {
        fs::metadata(&self.target).map_or(0, |metadata| metadata.len())
    }

    fn identity_path(&self) -> PathBuf {
        self.target.with_added_extension("json")
    }

    fn attempt(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), Interruption> {
        let have = self.len();
        let known: Identity = fs::read(self.identity_path())
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let mut request = self.agent.get(self.url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
            if let Some(validator) = &known.validator {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        let response = request.call().map_err(|error| self.no_answer(&error, have))?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let (start, total) = content_range(&response);
                if start != Some(have) || known.total.is_some_and(|known| total != Some(known)) {
                    self.discard();
                    return Err(self.passing("the file has changed on the server"));
                }
                self.receive(response, Some(have), total, progress)
            }
            StatusCode::OK => {
                let total = content_length(&response);
                self.remember(&Identity { validator: validator(&response), total })?;
                self.receive(response, None, total, progress)
            }
            StatusCode::RANGE_NOT_SATISFIABLE if content_range(&response).1 == Some(have) => Ok(()),
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                self.discard();
                Err(self.passing("the file has changed on the server"))
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(self.passing(format!("the server answers {status}")))
            }
            status => {
                let reason = format!("{}: the server answers {status}", self.url);
                Err(Interruption::Final(Obstacle::Source(reason)))
            }
        }
    }

    /// A server that was never reached is not asked again; one that stopped answering is.
    fn no_answer(&self, error: &ureq::Error, have: u64) -> Interruption {
        let reason = format!("{}: {}", self.url, chain(error));
        match have {
            0 => Interruption::Final(Obstacle::Source(reason)),
            _ => Interruption::Passing(reason),
        }
    }

    fn passing(&self, what: impl AsRef<str>) -> Interruption {
        Interruption::Passing(format!("{}: {}", self.url, what.as_ref()))
    }

    fn remember(&self, identity: &Identity) -> Result<(), FetchError> {
        let path = self.identity_path();
        let text = serde_json::to_vec(identity).unwrap_or_default();
        fs::write(&path, text).map_err(FetchError::write(&path))
    }

    /// Writes the body behind the `resume_at` bytes that are there, or from the beginning.
    fn receive(
        &self,
        response: Response<ureq::Body>,
        resume_at: Option<u64>,
        total: Option<u64>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Interruption> {
        let mut file = open(&self.target, resume_at.is_some())?;
        let mut body = response.into_body().into_reader();
        let (mut done, mut block) = (resume_at.unwrap_or(0), vec![0; 1 << 16]);
        let mut reported = done;
        progress(Progress::Bytes { done, total });
        let ended = loop {
            match body.read(&mut block) {
                Ok(0) => break None,
                Ok(n) => {
                    file.write_all(&block[..n]).map_err(FetchError::write(&self.target))?;
                    done += n as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Some(chain(&error)),
            }
            if done - reported >= REPORT_LEN {
                reported = done;
                progress(Progress::Bytes { done, total });
            }
        };
        progress(Progress::Bytes { done, total });
        match (ended, total) {
            (None, Some(total)) if done != total => {
                Err(self.passing(format!("the connection ended at byte {done} of {total}")))
            }
            (None, _) => Ok(()),
            (Some(error), _) => {
                Err(self.passing(format!("the connection broke at byte {done}: {error}")))
            }
        }
    }
}

fn open(path: &Path, resume: bool) -> Result<File, FetchError> {
    OpenOptions::new()
        .create(true)
        .write(true)
        .append(resume)
        .truncate(!resume)
        .open(path)
        .map_err(FetchError::write(path))
}

fn text<'a>(response: &'a Response<ureq::Body>, name: &header::HeaderName) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn content_length(response: &Response<ureq::Body>) -> Option<u64> {
    text(response, &header::CONTENT_LENGTH)?.parse().ok()
}

/// First byte and length of the whole, from `bytes 5-9/10` or `bytes */10`.
fn content_range(response: &Response<ureq::Body>) -> (Option<u64>, Option<u64>) {
    let parse = || {
        let (range, total) =
            text(response, &header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
        let start = range.split_once('-').and_then(|(start, _)| start.parse().ok());
        Some((start, total.parse().ok()))
    };
    parse().unwrap_or_default()
}

/// What `If-Range` accepts: a strong `ETag`, or the date of the last change.
fn validator(response: &Response<ureq::Body>) -> Option<String> {
    text(response, &header::ETAG)
        .filter(|tag| !tag.starts_with("W/"))
        .or_else(|| text(response, &header::LAST_MODIFIED))
        .map(str::to_owned)
}
