//! A stream of pictures, decoded while the last ones are worked on.

use std::panic;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use rayon::prelude::*;

/// Batches that may lie ready, besides the one that is being decoded.
const READY: usize = 2;

/// What a function makes of the numbers `0..n`, in batches, in their order.
///
/// It is called for several numbers of a batch at the same time, on the caller's rayon pool. A few
/// batches lie ready, so memory does not grow with `n`. Dropping it early stops the work. A panic in
/// the function is continued in the thread that asks for the batch.
#[derive(Debug)]
pub struct DecodeAhead<T> {
    batches: Option<Receiver<Vec<T>>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> DecodeAhead<T> {
    /// Begins to call `decode`, with `batch_size` numbers at a time.
    ///
    /// # Panics
    /// If `batch_size` is 0.
    pub fn new(
        n: usize,
        batch_size: usize,
        decode: impl Fn(usize) -> T + Send + Sync + 'static,
    ) -> Self {
        assert!(batch_size > 0, "batches of nothing");
        let (sender, batches) = sync_channel(READY);
        let work = move || {
            for start in (0..n).step_by(batch_size) {
                let numbers = start..n.min(start + batch_size);
                if sender.send(numbers.into_par_iter().map(&decode).collect()).is_err() {
                    return; // nobody listens any more
                }
            }
        };
        Self { batches: Some(batches), thread: Some(thread::spawn(work)) }
    }
}

impl<T> Iterator for DecodeAhead<T> {
    type Item = Vec<T>;

    fn next(&mut self) -> Option<Vec<T>> {
        if let Ok(batch) = self.batches.as_ref()?.recv() {
            return Some(batch);
        }
        self.batches = None;
        match self.thread.take()?.join() {
            Ok(()) => None,
            Err(payload) => panic::resume_unwind(payload),
        }
    }
}

impl<T> Drop for DecodeAhead<T> {
    fn drop(&mut self) {
        // Hanging up first wakes the thread where it waits to send.
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A panic nobody asked for must not become a panic while dropping.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_number_comes_once_and_in_order_for_any_batch_size() {
        for (n, batch_size) in [(0, 3), (1, 3), (3, 3), (10, 3), (10, 100)] {
            let batches: Vec<_> = DecodeAhead::new(n, batch_size, |i| i * i).collect();
            assert_eq!(batches.len(), n.div_ceil(batch_size));
            assert!(batches.iter().flatten().copied().eq((0..n).map(|i| i * i)));
        }
    }

    #[test]
    fn it_waits_for_who_listens_and_stops_when_nobody_does() {
        let n_done = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&n_done);
        let count = move |_| counter.fetch_add(1, Ordering::SeqCst);
        let mut ahead = DecodeAhead::new(1_000_000, 10, count);
        assert_eq!(ahead.next().map(|batch| batch.len()), Some(10));
        drop(ahead);
        // One was taken, two lay ready, one waited to be sent, one more may have been begun.
        assert!(n_done.load(Ordering::SeqCst) <= 50, "{n_done:?}");
    }

    #[test]
    fn a_panic_comes_out_where_the_batch_is_asked_for() {
        let mut ahead = DecodeAhead::new(30, 10, |i| assert!(i != 15, "fifteen"));
        assert_eq!(ahead.next().map(|batch| batch.len()), Some(10));
        let panicked = panic::catch_unwind(panic::AssertUnwindSafe(|| ahead.next())).is_err();
        assert!(panicked && ahead.next().is_none());
    }
}
