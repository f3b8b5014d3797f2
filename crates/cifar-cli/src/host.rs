//! The machine and the process: device, threads, memory, diagnostics.

use std::fs;
use std::sync::Once;
use std::thread;
use std::time::SystemTime;

use anyhow::{Context, bail};
use candle_core::{Device, utils};
use cifar_kernels::isa::Isa;
use tracing_subscriber::EnvFilter;

use crate::args::ComputeArgs;
use crate::dashboard::Diagnostics;

/// Commit the program was built from.
pub(crate) const GIT_COMMIT: &str = env!("CIFAR_GIT_COMMIT");

/// Sends diagnostics to standard error: warnings, more with `-v`, anything with `RUST_LOG`.
pub(crate) fn start_diagnostics(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "warn,cifar=info,cifar_data=info,cifar_train=info",
        _ => "info,cifar=debug,cifar_data=debug,cifar_train=debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Diagnostics).init();
}

/// The environment variable that holds the kernels below what the machine could do.
const INSTRUCTIONS: &str = "CIFAR_KERNELS_ISA";

/// Sets the number of CPU threads and the instructions, and returns the device with its name.
pub(crate) fn device(args: &ComputeArgs) -> anyhow::Result<(Device, String)> {
    if let Some(name) = std::env::var_os(INSTRUCTIONS) {
        let isa: Isa = name.to_string_lossy().parse().context(INSTRUCTIONS)?;
        isa.limit();
    }
    if args.threads == Some(0) {
        bail!("--threads is 0, expected at least 1");
    }
    // The runs of a series share the threads that the first one starts.
    static STARTED: Once = Once::new();
    let mut started = Ok(());
    STARTED.call_once(|| started = start_threads(args.threads));
    started?;
    let cpu = || Ok((Device::Cpu, "cpu".to_owned()));
    match args.device.as_str() {
        "cpu" => cpu(),
        "auto" if !utils::cuda_is_available() => cpu(),
        "auto" => cuda("cuda:0"),
        name => cuda(name),
    }
}

/// Starts the threads that compute: as many as `wanted`, or as many as there are cores.
///
/// The caller's is one of them, so that a pass starts without waking another, and never more
/// threads compute than there are cores. A pool of one stays apart: pictures are decoded on the
/// pool while the caller waits for them.
fn start_threads(wanted: Option<usize>) -> anyhow::Result<()> {
    let n = wanted.unwrap_or_else(|| thread::available_parallelism().map_or(1, |n| n.get()));
    let mut pool = rayon::ThreadPoolBuilder::new().num_threads(n);
    if n > 1 {
        pool = pool.use_current_thread();
    }
    match pool.build_global() {
        // Pictures were read before; as many threads are there already.
        Err(_) if wanted.is_none() => Ok(()),
        started => started.context("cannot start the threads"),
    }
}

fn cuda(name: &str) -> anyhow::Result<(Device, String)> {
    let Some(ordinal) = name.strip_prefix("cuda:").and_then(|n| n.parse().ok()) else {
        bail!("unknown device `{name}`; use auto, cpu, or a GPU such as cuda:0");
    };
    if !utils::cuda_is_available() {
        bail!("device `{name}`: this build of cifar has no CUDA support; use --device cpu");
    }
    let device =
        Device::new_cuda(ordinal).with_context(|| format!("cannot use device `{name}`"))?;
    Ok((device, name.to_owned()))
}

/// Threads that prepare batches: enough to keep the cores fed, few enough not to crowd them.
pub(crate) fn n_loader_workers() -> usize {
    rayon::current_num_threads().min(4)
}

/// Memory that the process holds, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) current_bytes: u64,
    /// The most that it has held at once.
    pub(crate) peak_bytes: u64,
}

/// The process's memory, where the system tells.
pub(crate) fn memory() -> Option<Memory> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let bytes = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    };
    Some(Memory { current_bytes: bytes("VmRSS:")?, peak_bytes: bytes("VmHWM:")? })
}

/// The most memory that the process has held at once, in bytes, where the system tells.
pub(crate) fn peak_rss_bytes() -> Option<u64> {
    memory().map(|memory| memory.peak_bytes)
}

/// The time now (UTC) as part of a file name: `20261121T024500Z`.
pub(crate) fn time_stamp() -> String {
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    time.replace(['-', ':'], "")
}
