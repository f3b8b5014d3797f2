//! Ctrl-C: the first asks the run to save and stop, the second ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use crate::dashboard;

/// A flag that SIGINT and SIGTERM set.
pub(crate) fn flag() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let handler_flag = Arc::clone(&flag);
    let handler = move || {
        if handler_flag.swap(true, Ordering::Relaxed) {
            dashboard::restore();
            std::process::exit(i32::from(crate::INTERRUPTED));
        }
    };
    ctrlc::set_handler(handler).context("cannot listen for Ctrl-C")?;
    Ok(flag)
}
