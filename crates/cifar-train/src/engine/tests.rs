use cifar_data::Mixed;
use cifar_models::{Model, Variant};

use super::*;
use crate::test_learner::{loader, recipe};

/// Loss and all gradients of SimpleNet on `batch`.
fn pass(planned: bool, batch: &Batch, recipe: &Recipe) -> (f64, Vec<f32>) {
    let dropout = recipe.network.and_then(|network| network.dropout);
    let variant = Variant { dropout, ..Variant::default() };
    let net = cifar_models::build_variant("simplenet", 10, variant).unwrap();
    let model = Model::initialise(net, 0, &Device::Cpu).unwrap();
    let net = planned.then_some(&model.net);
    let learner = Learner { module: &model.module, variables: &model.variables, net };
    let mut engine = Engine::new(&learner, recipe, &Device::Cpu).unwrap();
    assert_eq!(matches!(engine, Engine::Planned(_)), planned);
    let pass = engine.forward_backward(&learner, batch, recipe).unwrap();
    let values = |g: &Tensor| g.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    (pass.loss, pass.gradients.iter().flat_map(values).collect())
}

/// What is left out of an image follows from the run, the epoch and the image: it is the same in a
/// micro-batch, and through candle's autograd.
#[test]
fn dropout_does_not_depend_on_the_way_or_the_batch() {
    let thinned = |accumulation, seed: &str| {
        let dropout = "network.dropout=0.5";
        recipe(&["precision=f32", "convolution=direct", dropout, accumulation, seed])
    };
    let (whole, parts) = ("gradient-accumulation=1", "gradient-accumulation=3");
    let batch = loader(0..30, 7, None).epoch(0).next().unwrap();
    let want = pass(true, &batch, &thinned(whole, "seed=1"));
    let ways = [(true, parts), (false, whole), (false, parts)];
    for (planned, accumulation) in ways {
        let (loss, gradients) = pass(planned, &batch, &thinned(accumulation, "seed=1"));
        assert!((loss - want.0).abs() < 1e-5, "{loss}, want {}", want.0);
        for (got, want) in gradients.iter().zip(&want.1) {
            assert!((got - want).abs() < 1e-5, "{got}, want {want}");
        }
    }
    let later = Batch { epoch: 1, ..batch.clone() };
    for (batch, seed) in [(&later, "seed=1"), (&batch, "seed=2")] {
        let (loss, _) = pass(true, batch, &thinned(whole, seed));
        assert!((loss - want.0).abs() > 1e-4, "{loss} and {}", want.0);
    }
}

/// The loss is linear in the target.
#[test]
fn a_mixed_batch_has_the_loss_and_gradients_of_both_labels_by_their_shares() {
    let own = loader(0..30, 7, None).epoch(0).next().unwrap();
    let partners =
        Batch { labels: own.labels.iter().map(|l| (l + 3) % 10).collect(), ..own.clone() };
    let share = 0.3;
    let mixed = Some(Mixed { labels: partners.labels.clone(), own_share: share });
    let mixed = Batch { mixed, ..own.clone() };
    for planned in [false, true] {
        for accumulation in ["gradient-accumulation=1", "gradient-accumulation=3"] {
            let recipe = recipe(&["precision=f32", "label-smoothing=0.1", accumulation]);
            let [own, partners, mixed] =
                [&own, &partners, &mixed].map(|batch| pass(planned, batch, &recipe));
            let mean = |own: f64, other: f64| share * own + (1.0 - share) * other;
            assert!((mixed.0 - mean(own.0, partners.0)).abs() < 1e-6, "{mixed:?}");
            assert!((own.0 - partners.0).abs() > 1e-3);
            for ((own, other), got) in own.1.iter().zip(&partners.1).zip(&mixed.1) {
                let want = mean(f64::from(*own), f64::from(*other));
                assert!((f64::from(*got) - want).abs() < 1e-5, "{got}, want {want}");
            }
        }
    }
}
