//! What the kernels run on, and how fast.

use crate::place::Place;

const BENCH: [&str; 8] =
    ["bench", "--recipe", "simplenet", "--steps", "2", "--batch-size", "4", "--json"];

#[test]
fn bench_reports_the_instructions_it_was_held_to() {
    let place = Place::empty();
    for pass in [&[][..], &["--eval"]] {
        let mut command = place.command(&[&BENCH[..], pass].concat());
        let output = command.env("CIFAR_KERNELS_ISA", "portable").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["instructions"], "portable");
        assert_eq!(report["batch_size"], 4);
        assert!(report["images_per_second"].as_f64().unwrap() > 0.0, "{report}");
    }
}

#[test]
fn unknown_instructions_are_refused() {
    let place = Place::empty();
    let output = place.command(&BENCH).env("CIFAR_KERNELS_ISA", "sse9").output().unwrap();
    crate::place::Ran::from(output).refused(&["CIFAR_KERNELS_ISA", "sse9", "avx512"]);
}

#[test]
fn the_plan_of_a_step_names_its_operations_and_its_memory() {
    let place = Place::empty();
    let plan = ["models", "small-resnet", "--plan", "--batch-size", "2"];
    let table = place.run(&plan).ok().out;
    for words in ["conv3x3 winograd", "batch norm + add + relu", "layer3.1.conv.4", "2 images"] {
        assert!(table.contains(words), "{words}: {table}");
    }
    let json = place.run(&[&plan[..], &["--json"]].concat()).ok().out;
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let parts = ["value_bytes", "gradient_bytes", "packed_bytes", "weight_gradient_bytes"];
    let sum: u64 = parts.iter().map(|part| report[part].as_u64().unwrap()).sum();
    assert_eq!(report["total_bytes"], sum);
}

/// Training by either algorithm follows the same road.
#[test]
fn the_recipe_chooses_the_convolution() {
    let place = Place::new();
    for name in ["direct", "winograd"] {
        let ran = place.train(&["--max-steps", "1", "--set", &format!("convolution={name}")]);
        ran.ok();
        std::fs::rename(place.path("run"), place.path(name)).unwrap();
    }
    assert!(place.weights("direct") != place.weights("winograd"), "the key changes nothing");
    place.train(&["--set", "convolution=fft"]).refused(&["convolution=fft", "fft", "winograd"]);
}

#[test]
fn each_convolution_is_measured_by_itself() {
    let place = Place::empty();
    let words = ["bench", "--convolutions", "--recipe", "simplenet", "--batch-size", "2"];
    let table = place.run(&words).ok().out;
    for words in ["3->16, 32x32, 3x3 /1", "d weight", "memory"] {
        assert!(table.contains(words), "{words}: {table}");
    }
    let json = place.run(&[&words[..], &["--json"]].concat()).ok().out;
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let convolutions = report.as_array().unwrap();
    assert!(convolutions.iter().any(|of| of["algorithm"] == "direct"), "{report}");
    for convolution in convolutions {
        for pass in ["forward", "input_gradient", "weight_gradient"] {
            for rate in ["gflops_per_second", "limit_fraction", "memory_fraction"] {
                assert!(convolution[pass][rate].as_f64().unwrap() > 0.0, "{pass} {rate}: {report}");
            }
        }
    }
}
