//! Shuffled, augmented, prefetched batches, the same for any number of worker threads.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{panic, thread};

use crate::batch::Batch;
use crate::dataset::{Dataset, IMAGE_LEN};
use crate::error::DataError;
use crate::mix::mix;
use crate::seed::{DrawStream, Purpose, epoch_order};
use crate::transform::{Augmentation, Normalization, Sample, transform};

/// Batches that each worker may have ready, besides the one it is working on.
const READY_PER_WORKER: usize = 2;

/// How a [`Loader`] goes through its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoaderConfig {
    /// Samples of a batch.
    pub batch_size: usize,
    /// Threads that prepare batches ahead; 0 prepares each when it is asked for.
    pub n_workers: usize,
    /// Seed of the run: decides order and augmentation.
    pub seed: u64,
    /// A new order every epoch, instead of the order of the indices.
    pub shuffle: bool,
    /// Leave out the last batch of an epoch if it is smaller than the others.
    pub drop_last: bool,
}

/// Makes the batches of any epoch from a data set. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Loader {
    source: Arc<Source>,
    n_workers: usize,
}

/// What every batch is made from.
#[derive(Debug)]
struct Source {
    dataset: Arc<Dataset>,
    indices: Vec<u32>,
    augmentation: Option<Augmentation>,
    normalization: Normalization,
    config: LoaderConfig,
}

impl Loader {
    /// A loader over the samples of `dataset` that `indices` names.
    ///
    /// `augmentation`: random changes, for training; `None` shows the pictures as they are.
    ///
    /// # Errors
    /// If the batch size is zero or larger than the number of indices, an index points past the
    /// data, or a transform's parameter is out of its range.
    pub fn new(
        dataset: Arc<Dataset>,
        indices: Vec<u32>,
        augmentation: Option<Augmentation>,
        normalization: Normalization,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        let (batch_size, n_samples) = (config.batch_size, indices.len());
        if batch_size == 0 || batch_size > n_samples {
            return Err(DataError::BatchSize { batch_size, n_samples });
        }
        if let Some(&index) = indices.iter().find(|&&index| index as usize >= dataset.len()) {
            return Err(DataError::Index { index, n_samples: dataset.len() });
        }
        if let Some(augmentation) = &augmentation {
            augmentation.check()?;
        }
        normalization.check()?;
        let source = Source { dataset, indices, augmentation, normalization, config };
        Ok(Self { source: Arc::new(source), n_workers: config.n_workers })
    }

    /// Batches of an epoch.
    pub fn n_batches(&self) -> usize {
        let Source { indices, config, .. } = &*self.source;
        match config.drop_last {
            true => indices.len() / config.batch_size,
            false => indices.len().div_ceil(config.batch_size),
        }
    }

    /// Samples of an epoch: those that its batches hold together.
    pub fn n_samples(&self) -> usize {
        let Source { indices, config, .. } = &*self.source;
        indices.len().min(self.n_batches() * config.batch_size)
    }

    /// The batches of `epoch`.
    pub fn epoch(&self, epoch: u32) -> Batches {
        self.epoch_from(epoch, 0)
    }

    /// The batches of `epoch` from number `first_batch` on, to resume in the middle: equal to
    /// [`epoch`](Self::epoch) without its first `first_batch` batches.
    pub fn epoch_from(&self, epoch: u32, first_batch: usize) -> Batches {
        let last = self.n_batches();
        let plan = Arc::new(EpochPlan::new(&self.source, epoch));
        Batches::start(plan, first_batch.min(last)..last, self.n_workers)
    }
}

/// One epoch: everything that its batches follow from.
#[derive(Debug, Clone)]
struct EpochPlan {
    source: Arc<Source>,
    epoch: u32,
    order: Vec<u32>,
}

impl EpochPlan {
    fn new(source: &Arc<Source>, epoch: u32) -> Self {
        let order = match source.config.shuffle {
            true => epoch_order(source.config.seed, epoch, &source.indices),
            false => source.indices.clone(),
        };
        Self { source: Arc::clone(source), epoch, order }
    }

    /// Makes batch number `batch_idx`: a function of the plan and the number alone.
    fn batch(&self, batch_idx: usize) -> Batch {
        let Source { dataset, augmentation, normalization, config, .. } = &*self.source;
        let start = batch_idx * config.batch_size;
        let end = self.order.len().min(start + config.batch_size);
        let indices = self.order[start..end].to_vec();
        let mut images = vec![0.0; indices.len() * IMAGE_LEN];
        for (&index, out) in indices.iter().zip(images.chunks_exact_mut(IMAGE_LEN)) {
            let sample = Sample { run_seed: config.seed, epoch: self.epoch, index };
            let changes = augmentation.as_ref().map(|changes| (changes, sample));
            transform(dataset.image(index as usize), changes, normalization, out);
        }
        let labels: Vec<u32> =
            indices.iter().map(|&i| u32::from(dataset.label(i as usize))).collect();
        let mixed = augmentation.as_ref().and_then(|augmentation| {
            let batch = u64::from(self.epoch) << 32 | batch_idx as u64;
            let draws = DrawStream::new(config.seed, Purpose::Mix, batch);
            mix(augmentation, draws, &mut images, &labels)
        });
        Batch { images, labels, indices, epoch: self.epoch, mixed }
    }
}

/// Who made a batch, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preparation {
    /// The worker thread, counted from 0.
    pub worker: usize,
    /// When it began to.
    pub begun: Instant,
    /// How long it took, without the wait for whoever takes the batch.
    pub took: Duration,
}

/// The batches of one epoch, in order.
///
/// Worker `w` of `n` makes batches `w`, `w + n`, `w + 2n`, …, and waits when a few of them are
/// ready, so memory is bounded. Dropping the iterator early stops the workers. A panic in a
/// worker is continued in the thread that asks for the batch.
#[derive(Debug)]
pub struct Batches {
    plan: Arc<EpochPlan>,
    remaining: Range<usize>,
    workers: Vec<Worker>,
    next_worker: usize,
    preparation: Option<Preparation>,
}

#[derive(Debug)]
struct Worker {
    batches: Receiver<(Batch, Preparation)>,
    thread: JoinHandle<()>,
}

impl Batches {
    fn start(plan: Arc<EpochPlan>, remaining: Range<usize>, n_workers: usize) -> Self {
        let n_workers = n_workers.min(remaining.len());
        let spawn = |worker_idx| {
            let (plan, own) = (Arc::clone(&plan), remaining.clone().skip(worker_idx));
            let (sender, batches) = sync_channel(READY_PER_WORKER);
            let work = move || send_batches(&plan, own.step_by(n_workers), worker_idx, &sender);
            Worker { batches, thread: thread::spawn(work) }
        };
        let workers = (0..n_workers).map(spawn).collect();
        Self { plan, remaining, workers, next_worker: 0, preparation: None }
    }

    /// How the batch that was taken last was made; none before the first, and where no worker made
    /// it.
    pub fn preparation(&self) -> Option<Preparation> {
        self.preparation
    }

    /// Takes the next batch from the worker whose turn it is.
    fn receive(&mut self) -> Batch {
        let worker_idx = self.next_worker;
        self.next_worker = (worker_idx + 1) % self.workers.len();
        if let Ok((batch, preparation)) = self.workers[worker_idx].batches.recv() {
            self.preparation = Some(preparation);
            return batch;
        }
        self.remaining = 0..0;
        // A worker hangs up before its last batch only when it panics.
        match self.workers.swap_remove(worker_idx).thread.join() {
            Err(payload) => panic::resume_unwind(payload),
            Ok(()) => unreachable!("a worker ended before its last batch"),
        }
    }
}

/// Makes and sends batches until all are sent or nobody listens any more.
fn send_batches(
    plan: &EpochPlan,
    batches: impl Iterator<Item = usize>,
    worker: usize,
    sender: &SyncSender<(Batch, Preparation)>,
) {
    for batch_idx in batches {
        let begun = Instant::now();
        let batch = plan.batch(batch_idx);
        let preparation = Preparation { worker, begun, took: begun.elapsed() };
        if sender.send((batch, preparation)).is_err() {
            return;
        }
    }
}

impl Iterator for Batches {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let batch_idx = self.remaining.next()?;
        Some(match self.workers.is_empty() {
            true => self.plan.batch(batch_idx),
            false => self.receive(),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.remaining.size_hint()
    }
}

impl ExactSizeIterator for Batches {}

impl Drop for Batches {
    fn drop(&mut self) {
        // Hanging up on all of them first wakes every worker that waits to send.
        let threads: Vec<_> = self.workers.drain(..).map(|worker| worker.thread).collect();
        for thread in threads {
            // A panic nobody asked for must not become a panic while dropping.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
