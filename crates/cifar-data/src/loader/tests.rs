use super::*;
use crate::dataset::{CHANNELS, PLANE_LEN, SIDE};
use crate::transform::{HorizontalFlip, PaddingMode, RandomCrop};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// Leaves values as they are: `v / 255`.
const PLAIN: Normalization = Normalization { mean: [0.0; CHANNELS], std: [1.0; CHANNELS] };

const CONFIG: LoaderConfig =
    LoaderConfig { batch_size: 4, n_workers: 0, seed: 7, shuffle: true, drop_last: false };

const CROP: Augmentation = Augmentation {
    crop: Some(RandomCrop { padding: 4, mode: PaddingMode::Zeros }),
    horizontal_flip: HorizontalFlip::Random,
    cutout: Some(8),
    mixup: None,
    cutmix: None,
};

fn dataset(n: usize) -> Arc<Dataset> {
    let bytes = cifar_testkit::batch(n, 2, 0);
    let records = bytes.chunks_exact(1 + IMAGE_LEN);
    let labels = records.clone().map(|record| record[0]).collect();
    let images = records.flat_map(|record| &record[1..]).copied().collect();
    Arc::new(Dataset::new(images, labels, vec![String::new(); 10]).unwrap())
}

fn loader(n: usize, augmentation: Option<Augmentation>, config: LoaderConfig) -> Loader {
    Loader::new(dataset(n), (0..n as u32).collect(), augmentation, PLAIN, config).unwrap()
}

/// What lies at row `y`, column `x` of a plane, which may be beyond its edges.
fn beyond(plane: &[u8], y: isize, x: isize, mode: PaddingMode) -> u8 {
    let side = SIDE as isize;
    let mirror = |at: isize| if at < 0 { -at } else { at.min(2 * (side - 1) - at) };
    let inside = (0..side).contains(&y) && (0..side).contains(&x);
    match mode {
        PaddingMode::Zeros if !inside => 0,
        _ => plane[(mirror(y) * side + mirror(x)) as usize],
    }
}

/// Moves the window by (`dy`, `dx`), then mirrors: pixel by pixel.
fn naive(image: &[u8], dy: isize, dx: isize, flip: bool, mode: PaddingMode) -> Vec<f32> {
    let mut out = Vec::with_capacity(IMAGE_LEN);
    for plane in image.chunks_exact(PLANE_LEN) {
        for y in 0..SIDE as isize {
            for x in 0..SIDE as isize {
                let x = if flip { SIDE as isize - 1 - x } else { x };
                out.push(f32::from(beyond(plane, y + dy, x + dx, mode)) / 255.0);
            }
        }
    }
    out
}

/// By which move and mirroring `got` came from `image`.
fn moves_of(
    got: &[f32],
    image: &[u8],
    padding: isize,
    mode: PaddingMode,
) -> Option<(isize, isize, bool)> {
    let offsets = || -padding..=padding;
    let all =
        offsets().flat_map(|dy| offsets().flat_map(move |dx| [(dy, dx, false), (dy, dx, true)]));
    all.into_iter().find(|&(dy, dx, flip)| naive(image, dy, dx, flip, mode) == got)
}

/// The moves of every picture of `epoch`.
fn moves(loader: &Loader, epoch: u32) -> Vec<(isize, isize, bool)> {
    let Source { dataset, augmentation, .. } = &*loader.source;
    let crop = augmentation.as_ref().and_then(|augmentation| augmentation.crop);
    let (padding, mode) = crop.map_or((0, PaddingMode::Zeros), |c| (c.padding as isize, c.mode));
    let mut moves = Vec::new();
    for batch in loader.epoch(epoch) {
        for (got, &index) in batch.images.chunks_exact(IMAGE_LEN).zip(&batch.indices) {
            let found = moves_of(got, dataset.image(index as usize), padding, mode);
            moves.push(found.expect("the picture is a moved and mirrored one"));
        }
    }
    moves
}

#[test]
fn without_augmentation_the_pictures_are_shown_as_they_are() {
    let dataset = dataset(10);
    let indices = vec![9, 2, 2, 5];
    let config = LoaderConfig { batch_size: 3, shuffle: false, ..CONFIG };
    let normalization = Normalization { mean: [0.5, 0.25, 0.0], std: [0.5, 1.0, 2.0] };
    let loader =
        Loader::new(Arc::clone(&dataset), indices.clone(), None, normalization, config).unwrap();
    let batches: Vec<Batch> = loader.epoch(3).collect();
    assert_eq!(batches.iter().map(Batch::len).collect::<Vec<_>>(), [3, 1]);
    let shown: Vec<u32> = batches.iter().flat_map(|batch| batch.indices.clone()).collect();
    assert_eq!(shown, indices);
    for batch in &batches {
        for (i, &index) in batch.indices.iter().enumerate() {
            assert_eq!(batch.labels[i], u32::from(dataset.label(index as usize)));
            for (at, &value) in dataset.image(index as usize).iter().enumerate() {
                let channel = at / PLANE_LEN;
                let Normalization { mean, std } = normalization;
                let want = (f32::from(value) / 255.0 - mean[channel]) / std[channel];
                assert_eq!(batch.images[i * IMAGE_LEN + at].to_bits(), want.to_bits());
            }
        }
    }
}

#[test]
fn every_move_occurs() {
    let crop = Some(RandomCrop { padding: 1, mode: PaddingMode::Reflect });
    let augmentation = Augmentation { crop, cutout: None, ..CROP };
    let loader = loader(40, Some(augmentation), CONFIG);
    let seen: BTreeSet<_> = (0..10).flat_map(|epoch| moves(&loader, epoch)).collect();
    // 9 windows, each as it is and mirrored; 400 draws leave one of them out once in 10^9 times.
    assert_eq!(seen.len(), 18);
}

#[test]
fn half_of_the_pictures_are_mirrored() {
    let augmentation = Augmentation { crop: None, cutout: None, ..CROP };
    let loader = loader(100, Some(augmentation), CONFIG);
    let moves: Vec<_> = (0..10).flat_map(|epoch| moves(&loader, epoch)).collect();
    let mirrored = moves.iter().filter(|(.., flip)| *flip).count();
    // 500 expected, standard deviation 16.
    assert!(mirrored.abs_diff(500) < 80, "{mirrored} of 1000");
}

#[test]
fn cutout_leaves_a_square_of_the_mean() {
    let augmentation = Augmentation {
        crop: None,
        horizontal_flip: HorizontalFlip::Never,
        cutout: Some(6),
        ..CROP
    };
    // A mean that no pixel has, so that only the square is zero.
    let normalization = Normalization { mean: [-1.0; CHANNELS], std: [1.0; CHANNELS] };
    let indices = (0..50).collect();
    let loader =
        Loader::new(dataset(50), indices, Some(augmentation), normalization, CONFIG).unwrap();
    for batch in loader.epoch(0) {
        for plane in batch.images.chunks_exact(PLANE_LEN) {
            let zeros: Vec<usize> = (0..PLANE_LEN).filter(|&at| plane[at] == 0.0).collect();
            let rows: BTreeSet<usize> = zeros.iter().map(|at| at / SIDE).collect();
            let columns: BTreeSet<usize> = zeros.iter().map(|at| at % SIDE).collect();
            assert_eq!(rows.len() * columns.len(), zeros.len(), "a rectangle");
            // Half of the square, less one pixel, may lie outside.
            assert!((3..=6).contains(&rows.len()) && (3..=6).contains(&columns.len()));
        }
    }
}

#[test]
fn the_batches_are_the_same_for_any_number_of_workers() {
    for drop_last in [false, true] {
        let config = LoaderConfig { drop_last, ..CONFIG };
        let reference: Vec<Batch> = loader(43, Some(CROP), config).epoch(5).collect();
        assert_eq!(reference.len(), if drop_last { 10 } else { 11 });
        for n_workers in [1, 2, 8, 50] {
            let loader = loader(43, Some(CROP), LoaderConfig { n_workers, ..config });
            assert!(loader.epoch(5).collect::<Vec<_>>() == reference, "{n_workers} workers");
        }
    }
}

#[test]
fn an_epoch_can_be_resumed_anywhere() {
    for n_workers in [0, 3] {
        let loader = loader(43, Some(CROP), LoaderConfig { n_workers, ..CONFIG });
        let all: Vec<Batch> = loader.epoch(2).collect();
        for first in 0..=all.len() + 1 {
            let rest = loader.epoch_from(2, first);
            assert_eq!(rest.len(), all.len().saturating_sub(first));
            assert!(rest.collect::<Vec<_>>() == all[first.min(all.len())..], "from {first}");
        }
    }
}

#[test]
fn epochs_differ_in_order_and_in_changes() {
    let loader = loader(40, Some(CROP), CONFIG);
    let order = |epoch| -> Vec<u32> { loader.epoch(epoch).flat_map(|b| b.indices).collect() };
    assert_ne!(order(0), order(1));
    let unshuffled = self::loader(40, Some(CROP), LoaderConfig { shuffle: false, ..CONFIG });
    let first = |epoch| unshuffled.epoch(epoch).next().unwrap();
    assert_eq!(first(0).indices, first(1).indices);
    assert_ne!(first(0).images, first(1).images);
}

/// Dropping an epoch after a few batches ends its workers, also those that wait to send.
#[test]
fn an_epoch_can_be_dropped_early() {
    let (done, finished) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let loader = loader(64, None, LoaderConfig { batch_size: 1, n_workers: 4, ..CONFIG });
        for n_taken in [0, 1, 5, 63] {
            let mut batches = loader.epoch(0);
            assert_eq!(batches.by_ref().take(n_taken).count(), n_taken);
            // Long enough for the workers to fill their channels.
            thread::sleep(Duration::from_millis(20));
            drop(batches);
        }
        done.send(()).unwrap();
    });
    finished.recv_timeout(Duration::from_secs(20)).expect("the workers end");
}

#[test]
fn counts_follow_from_batch_size_and_remainder() {
    let counts = |n, batch_size, drop_last| {
        let loader = loader(n, None, LoaderConfig { batch_size, drop_last, ..CONFIG });
        let n_seen = loader.epoch(0).map(|batch| batch.len()).sum::<usize>();
        assert_eq!(n_seen, loader.n_samples());
        (loader.n_batches(), loader.n_samples())
    };
    assert_eq!(counts(10, 4, false), (3, 10));
    assert_eq!(counts(10, 4, true), (2, 8));
    assert_eq!(counts(10, 10, true), (1, 10));
    assert_eq!(counts(10, 5, false), (2, 10));
}

fn refusal(
    indices: Vec<u32>,
    augmentation: Option<Augmentation>,
    normalization: Normalization,
    batch_size: usize,
) -> String {
    let config = LoaderConfig { batch_size, ..CONFIG };
    Loader::new(dataset(10), indices, augmentation, normalization, config).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_loaded_is_refused_with_the_remedy() {
    let all = || (0..10).collect::<Vec<u32>>();
    let too_few = "cannot be made from 10 samples: choose a batch size in 1..=10";
    assert_eq!(refusal(all(), None, PLAIN, 0), format!("a batch of 0 {too_few}"));
    assert_eq!(refusal(all(), None, PLAIN, 11), format!("a batch of 11 {too_few}"));
    let past = refusal(vec![0, 10], None, PLAIN, 1);
    assert_eq!(past, "index 10 points past the data: there are 10 samples");
    let crop = Some(RandomCrop { padding: 32, mode: PaddingMode::Reflect });
    let text = refusal(all(), Some(Augmentation { crop, ..CROP }), PLAIN, 1);
    assert_eq!(text, "crop padding is 32, expected fewer than 32 pixels");
    for alpha in [0.0, f64::NAN] {
        let text = refusal(all(), Some(Augmentation { mixup: Some(alpha), ..CROP }), PLAIN, 1);
        assert!(text.contains("mixup") && text.contains("a positive number"), "{text}");
    }
    let text = refusal(all(), Some(Augmentation { cutout: Some(0), ..CROP }), PLAIN, 1);
    assert_eq!(text, "cutout is 0, expected a side of 1 to 32 pixels");
    for std in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let text = refusal(all(), None, Normalization { std: [1.0, std, 1.0], ..PLAIN }, 1);
        assert!(text.starts_with("normalization std is "), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Crop and flip move whole pictures by at most the padding, and do nothing else.
    #[test]
    fn augmentation_moves_pixels(
        seed: u64,
        epoch: u32,
        padding in 0usize..=3,
        mode in proptest::sample::select(vec![PaddingMode::Zeros, PaddingMode::Reflect]),
        horizontal_flip: bool,
    ) {
        let crop = Some(RandomCrop { padding, mode });
        let flip = if horizontal_flip { HorizontalFlip::Random } else { HorizontalFlip::Never };
        let augmentation = Augmentation { crop, horizontal_flip: flip, cutout: None, ..CROP };
        let loader = loader(6, Some(augmentation), LoaderConfig { seed, ..CONFIG });
        // `moves` fails on a picture that is none of the moves.
        let moves = moves(&loader, epoch);
        prop_assert_eq!(moves.len(), 6);
        prop_assert!(horizontal_flip || moves.iter().all(|(.., flip)| !flip));
    }

    #[test]
    fn an_epoch_shows_each_sample_once(
        seed: u64,
        epoch: u32,
        n in 4usize..30,
        n_workers in 0usize..4,
    ) {
        let loader = loader(n, None, LoaderConfig { seed, n_workers, ..CONFIG });
        let mut shown: Vec<u32> = loader.epoch(epoch).flat_map(|batch| batch.indices).collect();
        shown.sort_unstable();
        prop_assert_eq!(shown, (0..n as u32).collect::<Vec<_>>());
    }
}

/// A bug that panics in a worker reaches the thread that asks, in place of the batch it spoils.
#[test]
fn a_panic_in_a_worker_is_continued_in_the_caller() {
    let loader = loader(10, None, LoaderConfig { batch_size: 1, ..CONFIG });
    let plan = EpochPlan { source: Arc::clone(&loader.source), epoch: 0, order: vec![0, 1, 99, 3] };
    for n_workers in [1, 3] {
        let mut batches = Batches::start(Arc::new(plan.clone()), 0..4, n_workers);
        assert_eq!(batches.by_ref().take(2).count(), 2);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| batches.next()));
        let payload = caught.expect_err("the panic arrives");
        let text = payload.downcast_ref::<String>().expect("slicing says what is wrong");
        assert!(text.contains("range"), "{text}");
        // What other workers have ready is not shown as if nothing had happened.
        assert!(batches.next().is_none());
    }
}
