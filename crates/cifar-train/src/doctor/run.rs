use super::Finding;

/// Whether a checkpoint was made for as many steps as its recipe now gives.
pub fn checkpoint_length(saved_steps: usize, recipe_steps: usize) -> Finding {
    const CHECK: &str = "checkpoint-length";
    let found =
        format!("the checkpoint's schedule has {saved_steps} steps, the recipe's {recipe_steps}");
    if saved_steps == recipe_steps {
        Finding::ok(CHECK, found, "the run can go on where it stopped")
    } else {
        let meaning = "epochs, batch size, held-out images or data have changed since: the run cannot \
                       go on, and its curve is not what config.toml says";
        let remedy = "put config.toml and the data back to what they were, or start a new run";
        Finding::problem(CHECK, found, meaning, remedy)
    }
}

/// How far below its log a checkpoint may fall on training images, as a fraction.
const SHORTFALL: f64 = 0.1;

/// Whether a checkpoint does on training images (as they are, in evaluation mode) what the log says
/// it did while training: `logged`, of the last epoch.
pub fn checkpoint_accuracy(evaluated: f64, logged: f64) -> Finding {
    const CHECK: &str = "checkpoint-accuracy";
    let found = format!(
        "{:.1} % of training images are right, {:.1} % were during training",
        100.0 * evaluated,
        100.0 * logged
    );
    if evaluated + SHORTFALL >= logged {
        Finding::ok(CHECK, found, "weights, normalisation and data still belong together")
    } else {
        let meaning = "the network now sees other input than it was trained on, or runs with other \
                       weights or statistics";
        let remedy = "compare data.normalization in config.toml with the one of training; look for \
                      batch-norm statistics of too few steps; restore the checkpoint from a copy";
        Finding::problem(CHECK, found, meaning, remedy)
    }
}
