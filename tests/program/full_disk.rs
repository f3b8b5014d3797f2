//! A disk that is full. What was saved before stays whole.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use cifar_testkit::names_in;

use crate::place::Place;

/// A disk in memory, taken away at the end.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// `None` where this user may not mount one.
    fn new(path: PathBuf, kib: usize) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"]).arg(&path);
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self { path }),
            failed => {
                println!("skipped: a small disk needs the right to mount one ({failed:?})");
                None
            }
        }
    }

    fn fill(&self) {
        let block = vec![0u8; 4096];
        let mut file = fs::File::create(self.path.join("filler")).unwrap();
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.path).status();
    }
}

#[test]
fn a_checkpoint_that_does_not_fit_leaves_the_last_one_whole() {
    let place = Place::new();
    // A checkpoint with momentum is about 210 kB; one fits, a second beside it does not.
    let Some(disk) = SmallDisk::new(place.path("disk"), 320) else { return };
    let train = [
        "train",
        "--recipe",
        "simplenet",
        "--batch-size",
        "20",
        "--threads",
        "1",
        "--no-tensorboard",
        "--out",
        "disk/run",
    ];
    let momentum = ["--set", "optimizer.momentum=0.9", "--set", "checkpoint-every=2"];
    let ran = place.run(&[&train[..], &momentum].concat());
    ran.refused(&["disk/run/checkpoints", "No space left", "free space", "resume"]);
    assert_eq!(names_in(&disk.path.join("run/checkpoints")), ["last"]);
    assert_eq!(
        names_in(&disk.path.join("run/checkpoints/last")),
        ["example_losses.safetensors", "model.safetensors", "optimizer.safetensors", "state.json"]
    );
    place.run(&["eval", "--run", "disk/run"]).ok();
}

#[test]
fn a_run_on_a_full_disk_is_not_begun() {
    let place = Place::new();
    let Some(disk) = SmallDisk::new(place.path("disk"), 64) else { return };
    disk.fill();
    let ran =
        place.run(&["train", "--recipe", "simplenet", "--batch-size", "20", "--out", "disk/run"]);
    ran.refused(&["cannot", "disk", "No space left"]);
    assert_eq!(names_in(&disk.path), ["filler"]);
}
