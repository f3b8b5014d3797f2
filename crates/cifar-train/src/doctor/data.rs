use cifar_data::{ChannelStatistics, Duplicates, Normalization};

use super::Finding;

/// Means and standard deviations after normalising that nobody would call wrong. They are wide
/// enough for 0.5 and 0.5, the round numbers of many tutorials.
const MEAN_FINE: f64 = 0.25;
const STD_FINE: [f64; 2] = [0.4, 2.5];
/// Those that training may still cope with.
const MEAN_BEARABLE: f64 = 1.0;
const STD_BEARABLE: [f64; 2] = [0.1, 10.0];

/// Whether `normalization` brings pictures of these `statistics` near mean 0 and standard
/// deviation 1.
pub fn normalization(normalization: &Normalization, statistics: &ChannelStatistics) -> Finding {
    const CHECK: &str = "normalization";
    let channels = 0..statistics.mean.len();
    let std_of = |c: usize| f64::from(normalization.std[c]);
    let mean = |c: usize| (statistics.mean[c] - f64::from(normalization.mean[c])) / std_of(c);
    let means: Vec<f64> = channels.clone().map(mean).collect();
    let stds: Vec<f64> = channels.map(|c| statistics.std[c] / std_of(c)).collect();
    let text = |values: &[f64]| {
        values.iter().map(|value| format!("{value:.2}")).collect::<Vec<_>>().join(" ")
    };
    let found = format!(
        "after it the channels have means {} and standard deviations {}",
        text(&means),
        text(&stds)
    );
    let within = |mean: f64, [low, high]: [f64; 2]| {
        means.iter().all(|m| m.abs() <= mean) && stds.iter().all(|s| (low..=high).contains(s))
    };
    let remedy = "set data.normalization to the mean and std that `cifar data show` prints; they are \
                  of values divided by 255";
    if within(MEAN_FINE, STD_FINE) {
        Finding::ok(CHECK, found, "the network's input is centred and of about unit size")
    } else if within(MEAN_BEARABLE, STD_BEARABLE) {
        let meaning = "the input is off centre or off scale: training is slower than it could be";
        Finding::warning(CHECK, found, meaning, remedy)
    } else {
        let meaning = "these are the statistics of other data, or of values not divided by 255: the \
                       network sees nearly constant or huge pictures";
        Finding::problem(CHECK, found, meaning, remedy)
    }
}

/// Whether every class has images, and about as many as the others.
pub fn label_balance(counts: &[usize], class_names: &[String]) -> Finding {
    const CHECK: &str = "label-balance";
    let least = counts.iter().copied().min().unwrap_or(0);
    let most = counts.iter().copied().max().unwrap_or(0);
    let found = format!("{} classes of {least} to {most} training images", counts.len());
    let remedy = "check the labels, and where images were left out; judge such a data set by the \
                  recall of each class (`cifar eval`), not by accuracy alone";
    if least == 0 {
        let absent = counts.iter().zip(class_names).filter(|(count, _)| **count == 0);
        let names: Vec<&str> = absent.map(|(_, name)| name.as_str()).collect();
        let found = format!("no training image of {}", super::listed(&names));
        Finding::problem(CHECK, found, "a class without images cannot be learned", remedy)
    } else if most > 2 * least {
        let meaning = "the network can lower its loss by guessing the frequent classes";
        Finding::warning(CHECK, found, meaning, remedy)
    } else {
        Finding::ok(CHECK, found, "no class can win by its frequency")
    }
}

/// Share of the test images from which equal training images spoil the result.
const LEAK: f64 = 0.001;

/// Whether the test images are new to the network, and equal pictures have equal labels.
pub fn duplicates(duplicates: &Duplicates, n_test: usize) -> Finding {
    const CHECK: &str = "duplicates";
    let Duplicates { in_training, contradicting, across } = duplicates;
    let found = format!(
        "{} test images equal a training image; {} training images are there twice, {} of them with \
         another label",
        across.len(),
        in_training.len(),
        contradicting.len()
    );
    if across.len() as f64 > LEAK * n_test as f64 {
        let meaning =
            "the test accuracy is in part that of images the network has learned by heart";
        Finding::problem(CHECK, found, meaning, "take those images out of one of the two sets")
    } else if !across.is_empty() || !contradicting.is_empty() {
        let meaning = "a few images leak or contradict each other; they hardly move the result";
        Finding::warning(CHECK, found, meaning, "mention it beside the result, or take them out")
    } else {
        Finding::ok(CHECK, found, "byte for byte, the test images are new to the network")
    }
}
