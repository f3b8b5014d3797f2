//! The kernels by themselves, at the shapes that the networks give them.
//!
//! `cargo bench -p cifar-kernels -- TEXT` runs those whose name contains TEXT. The elements of a
//! convolution are its operations by the definition, a multiplication and an addition each one, so
//! Gelem/s are GFLOP/s; those of everything else are values. On all threads of the machine, except
//! for augmentation and the loss, which are work for one.

use std::time::Duration;

use cifar_kernels::element::Element;
use criterion::Criterion;

mod augmentation;
mod convolution;
mod loss;
mod optimizer;
mod passes;
mod shapes;

/// Images; more of them change the rates little.
const N_IMAGES: usize = 128;

fn main() {
    // As in the program: a pass starts without waking the thread that waits for it.
    let pool = rayon::ThreadPoolBuilder::new().use_current_thread().build_global();
    pool.expect("nothing has started threads before");
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    convolution::bench_all(&mut criterion);
    passes::bench_all(&mut criterion);
    loss::bench_all(&mut criterion);
    optimizer::bench_all(&mut criterion);
    augmentation::bench_all(&mut criterion);
    criterion.final_summary();
}

/// Values of no pattern in −1..1.
fn noise<E: Element>(len: usize) -> Vec<E> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        E::from_f32((state >> 8) as f32 / 8_388_608.0 - 1.0)
    };
    (0..len).map(|_| next()).collect()
}
