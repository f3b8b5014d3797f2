//! End-to-end tests of the `cifar` program, on a data set of 240 pictures.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it fails, and says what it skips"
)]

mod bad_checkpoints;
mod bad_data;
mod bad_settings;
#[path = "../built.rs"]
mod built;
mod dashboard;
mod debugging;
mod explain;
mod exports;
mod full_disk;
mod guide;
mod honesty;
mod importing;
mod instructions;
mod output;
mod own_data;
mod place;
mod plots;
mod predict;
mod reports;
mod rights;
mod runs;
mod series;
mod variants;
