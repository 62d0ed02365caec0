//! The time an element takes: `float32` values of every activation, on one thread, in and out of cache.
//!
//! `cargo bench --bench kernels -- silu` measures the cases whose name contains `silu`. A case is named
//! by activation, SIMD level, number of elements and spread of the input, as in
//! `silu avx512 10k sd=3`; "items/s" is elements per second. A copy of the same memory is the floor.

use actloss_rs::activation::{ACTIVATIONS, Definition};
use actloss_rs::driver::elementwise::Stores;
use actloss_rs::level::Level;
use divan::Bencher;
use divan::counter::ItemsCount;
use std::fmt;

/// In the first-level cache, in the second or third, in memory.
const SIZES: [(&str, usize); 3] = [("10k", 10_000), ("1M", 1_000_000), ("16M", 16_000_000)];

/// Standard deviations of the input: ordinary, and wide enough to meet every tail.
const WIDTHS: [f32; 2] = [3.0, 10.0];

/// Activations measured by default; others by name.
const HOT: [&str; 7] = [
    "exp",
    "tanh",
    "sigmoid",
    "silu",
    "gelu",
    "gelu_tanh",
    "mish",
];

#[derive(Clone)]
struct Case {
    activation: &'static Definition,
    level: Level,
    size: (&'static str, usize),
    width: f32,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, level) = (self.activation.name, self.level.name());
        write!(f, "{name} {level} {} sd={}", self.size.0, self.width)
    }
}

fn cases() -> Vec<Case> {
    let one_input = ACTIVATIONS.iter().filter(|a| HOT.contains(&a.name));
    one_input
        .flat_map(|activation| {
            // The levels without a fused multiply-add need to be right, not fast.
            let levels = Level::available().into_iter().take(2);
            levels.flat_map(move |level| {
                SIZES.into_iter().flat_map(move |size| {
                    WIDTHS.into_iter().map(move |width| Case {
                        activation,
                        level,
                        size,
                        width,
                    })
                })
            })
        })
        .collect()
}

/// Normally distributed, the same on every run: sums of uniform numbers would lack the tails, so Box and
/// Muller's formula.
fn normal(n: usize, width: f32) -> Vec<f32> {
    let mut state = 1_u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((state >> 33) as f64 + 0.5) / 2.0_f64.powi(31)
    };
    (0..n)
        .map(|_| {
            let (u, v) = (uniform(), uniform());
            let z = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            width * z as f32
        })
        .collect()
}

#[divan::bench(args = cases())]
fn value(bencher: Bencher<'_, '_>, case: &Case) {
    let n = case.size.1;
    let x = normal(n, case.width);
    let mut y = vec![0.0_f32; n];
    bencher.counter(ItemsCount::new(n)).bench_local(|| {
        // SAFETY: one input and the output, of n elements each, which do not overlap.
        unsafe {
            (case.activation.value.single)(
                case.level,
                &[x.as_ptr()],
                y.as_mut_ptr(),
                n,
                Stores::Cached,
            );
        }
        divan::black_box(&mut y);
    });
}

#[divan::bench(args = SIZES.map(|(_, n)| n))]
fn copy(bencher: Bencher<'_, '_>, n: usize) {
    let x = normal(n, 3.0);
    let mut y = vec![0.0_f32; n];
    bencher.counter(ItemsCount::new(n)).bench_local(|| {
        y.copy_from_slice(&x);
        divan::black_box(&mut y);
    });
}

fn main() {
    divan::main();
}
