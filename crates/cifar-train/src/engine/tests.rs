use cifar_data::Mixed;
use cifar_models::Model;

use super::*;
use crate::test_learner::{loader, recipe};

/// Loss and all gradients of SimpleNet on `batch`.
fn pass(planned: bool, batch: &Batch, recipe: &Recipe) -> (f64, Vec<f32>) {
    let net = cifar_models::build("simplenet", 10).unwrap();
    let model = Model::initialise(net, 0, &Device::Cpu).unwrap();
    let net = planned.then_some(&model.net);
    let learner = Learner { module: &model.module, variables: &model.variables, net };
    let mut engine = Engine::new(&learner, recipe, &Device::Cpu).unwrap();
    assert_eq!(matches!(engine, Engine::Planned(_)), planned);
    let pass = engine.forward_backward(&learner, batch, recipe).unwrap();
    let values = |g: &Tensor| g.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    (pass.loss, pass.gradients.iter().flat_map(values).collect())
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
