//! Grad-CAM and saliency against PyTorch's gradients.

use std::path::Path;

use candle_core::{Device, Tensor};
use cifar_models::Model;
use cifar_report::explain::{HeatMap, explain};

use crate::case::Case;
use crate::compare::{TOLERANCE, read, relative_error, values};

/// Compares the maps that `reference.py` left in `folder`; panics at the first disagreement.
pub(crate) fn compare(case: &Case, folder: &Path) {
    let reference = read(&folder.join("explained.safetensors"));
    let model = Model::load(case.net(), &folder.join("weights.safetensors"), &Device::Cpu).unwrap();
    let chosen = values(&reference["image"])[0] as u32;
    let batch = case.loader(vec![chosen], 1).epoch(0).next().unwrap();
    let image = batch.image_tensor(&Device::Cpu).unwrap();
    let stages = model.net.stages().unwrap();
    let classes: Vec<usize> = values(&reference["classes"]).iter().map(|&c| c as usize).collect();
    assert!(classes.len() == 2 && classes[0] != classes[1], "{classes:?}");
    for &class in &classes {
        let ours = explain(&model.module, &stages, &image, Some(class)).unwrap();
        let logits = Tensor::from_vec(ours.logits.clone(), (1, 10), &Device::Cpu).unwrap();
        tell(case, class, "logits", relative_error(&logits, &reference["logits"]));
        let grad_cams = ours.stages.iter().map(|s| (s.stage.name.as_str(), &s.grad_cam));
        let maps: Vec<_> = grad_cams.chain([("saliency", &ours.saliency)]).collect();
        let prefix = format!("{class}.");
        let theirs = reference.keys().filter(|name| name.starts_with(&prefix)).count();
        assert_eq!(maps.len(), theirs, "stages differ");
        for (name, map) in maps {
            let error = relative_error(&raw(map), &reference[&format!("{class}.{name}")]);
            assert!(
                class != classes[0] || !map.is_blank(),
                "{name} is blank for the predicted class"
            );
            tell(case, class, name, error);
        }
    }
}

/// The map before it was divided by its largest value.
fn raw(map: &HeatMap) -> Tensor {
    let values: Vec<f32> = map.values().iter().map(|value| value * map.peak()).collect();
    Tensor::from_vec(values, (map.height(), map.width()), &Device::Cpu).unwrap()
}

fn tell(case: &Case, class: usize, what: &str, error: f64) {
    println!(
        "{}, class {class}: {what}: relative error {error:.1e} of at most {TOLERANCE:.0e}",
        case.name
    );
    // Written so that NaN fails.
    assert!(error <= TOLERANCE, "{what}: relative error {error:e} is over {TOLERANCE:e}");
}
