//! Which crate may use which. `docs/architecture.md` says why in prose.

/// One crate of the workspace.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// The crates of this workspace that it may use.
    pub(super) may_use: &'static [&'static str],
    /// What it may use from outside.
    pub(super) externals: Externals,
    pub(super) because: &'static str,
}

/// What a crate may use from outside the workspace, besides the standard library.
pub(super) enum Externals {
    /// Anything but what [`RESERVED`] gives to others.
    Any,
    /// These alone.
    Only(&'static [&'static str]),
}

/// A crate from outside that only some may use.
pub(super) struct Reserved {
    pub(super) name: &'static str,
    pub(super) users: &'static [&'static str],
    pub(super) because: &'static str,
}

/// Bottom up, as in the picture of `docs/architecture.md`. Crates that are still to come have
/// their row already.
pub(super) const TABLE: &[Row] = &[
    Row {
        name: "cifar-files",
        may_use: &[],
        externals: Externals::Only(&["tempfile"]),
        because: "putting a file into its place knows nothing of what is in it",
    },
    Row {
        name: "cifar-kernels",
        may_use: &[],
        externals: Externals::Only(&["rayon", "half"]),
        because: "kernels take slices and know neither candle nor any crate above them",
    },
    Row {
        name: "cifar-pickle",
        may_use: &[],
        externals: Externals::Only(&["thiserror"]),
        because: "a reader of untrusted files is easiest to trust alone",
    },
    Row {
        name: "cifar-data",
        may_use: &["cifar-files", "cifar-kernels", "cifar-pickle"],
        externals: Externals::Any,
        because: "data knows no model, no metric and no training",
    },
    Row {
        name: "cifar-metrics",
        may_use: &[],
        externals: Externals::Only(&["serde", "thiserror"]),
        because: "metrics know predictions and labels, no tensors",
    },
    Row {
        name: "cifar-ops",
        may_use: &["cifar-kernels"],
        externals: Externals::Any,
        because: "ops serve any candle program; they know no network and no data set",
    },
    Row {
        name: "cifar-net",
        may_use: &["cifar-kernels", "cifar-ops"],
        externals: Externals::Any,
        because: "a layer graph knows neither images, training nor particular networks",
    },
    Row {
        name: "cifar-models",
        may_use: &["cifar-files", "cifar-kernels", "cifar-pickle", "cifar-net"],
        externals: Externals::Any,
        because: "models are graphs and weights; they know no files of images and no training",
    },
    Row {
        name: "cifar-train",
        may_use: &[
            "cifar-files",
            "cifar-kernels",
            "cifar-data",
            "cifar-metrics",
            "cifar-ops",
            "cifar-net",
        ],
        externals: Externals::Any,
        because: "training knows no architecture and renders nothing",
    },
    Row {
        name: "cifar-export",
        may_use: &["cifar-files", "cifar-pickle", "cifar-net", "cifar-models"],
        externals: Externals::Any,
        because: "export walks a graph; it does not train and reads no data set",
    },
    Row {
        name: "cifar-report",
        may_use: &["cifar-files", "cifar-metrics", "cifar-data", "cifar-net"],
        externals: Externals::Any,
        because: "reports render what others computed; they neither train nor build models",
    },
    Row {
        name: "cifar-cli",
        may_use: &[
            "cifar-files",
            "cifar-kernels",
            "cifar-data",
            "cifar-metrics",
            "cifar-ops",
            "cifar-net",
            "cifar-models",
            "cifar-train",
            "cifar-export",
            "cifar-report",
        ],
        externals: Externals::Any,
        because: "the program does not ship what only tests and developers use",
    },
    Row {
        name: "cifar-testkit",
        may_use: &[],
        externals: Externals::Any,
        because: "the test kit lies below every crate, so that the tests of each can use it",
    },
    Row {
        name: "cifar-tests",
        may_use: &["cifar-testkit"],
        externals: Externals::Any,
        because: "all but the test kit belongs to single tests; write it as a dev-dependency",
    },
    Row {
        name: "xtask",
        may_use: &["cifar-files", "cifar-metrics", "cifar-testkit"],
        externals: Externals::Any,
        because: "xtask works through the programs, so that it is quick to build; it shares the \
                  formula of a spread and what writes whole files, and with the tests what writes \
                  data sets and runs cargo",
    },
];

/// Crates from outside with a single place to live.
pub(super) const RESERVED: &[Reserved] = &[
    Reserved { name: "anyhow", users: PROGRAMS, because: "libraries return their own errors" },
    Reserved { name: "clap", users: PROGRAMS, because: "libraries read no arguments" },
    Reserved { name: "indicatif", users: PROGRAMS, because: "libraries do not print" },
    Reserved { name: "ratatui", users: PROGRAMS, because: "libraries do not print" },
    Reserved { name: "tracing-subscriber", users: PROGRAMS, because: "libraries do not print" },
    Reserved { name: "ctrlc", users: PROGRAMS, because: "a signal belongs to the whole process" },
    Reserved {
        name: "candle-datasets",
        users: &["cifar-data"],
        because: "it brings some 220 crates, which nothing else should wait for",
    },
];

const PROGRAMS: &[&str] = &["cifar-cli", "cifar-tests", "xtask"];
