//! Exact sums on every SIMD level of this machine, and what they cost.
//!
//! `cargo run --release --example exact_sum`

use actloss_rs::lanes::Token;
use actloss_rs::level::{Level, OnLevel};
use actloss_rs::reduction::exact::ExactSum;
use std::hint::black_box;
use std::time::Instant;

/// The sum of a slice, handed over in buffers of `buffer` values.
struct Sum<'a, T> {
    values: &'a [T],
    buffer: usize,
}

impl OnLevel for Sum<'_, f32> {
    type Output = ExactSum;
    fn run<S: Token>(self, simd: S) -> ExactSum {
        let mut sum = ExactSum::new();
        for values in self.values.chunks(self.buffer) {
            sum.add_f32_slice(simd, values);
        }
        sum
    }
}

impl OnLevel for Sum<'_, f64> {
    type Output = ExactSum;
    fn run<S: Token>(self, simd: S) -> ExactSum {
        let mut sum = ExactSum::new();
        for values in self.values.chunks(self.buffer) {
            sum.add_f64_slice(simd, values);
        }
        sum
    }
}

/// The least time of several runs, in nanoseconds per element.
fn time(elements: usize, mut run: impl FnMut() -> ExactSum) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let start = Instant::now();
        black_box(run());
        best = best.min(start.elapsed().as_secs_f64());
    }
    best * 1e9 / elements as f64
}

fn main() {
    let mut state = 1_u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let losses: Vec<f64> = (0..409_600).map(|_| -uniform().ln()).collect();
    let narrow: Vec<f32> = losses.iter().map(|&loss| loss as f32).collect();
    let confident: Vec<f32> = losses
        .iter()
        .map(|&loss| (-30.0 * loss).exp() as f32)
        .collect();

    let mut expected = None;
    for level in Level::available() {
        for buffer in [512, 2048, losses.len()] {
            let single = time(narrow.len(), || {
                level.dispatch(Sum {
                    values: &narrow,
                    buffer,
                })
            });
            let wide = time(confident.len(), || {
                level.dispatch(Sum {
                    values: &confident,
                    buffer,
                })
            });
            let double = time(losses.len(), || {
                level.dispatch(Sum {
                    values: &losses,
                    buffer,
                })
            });
            println!(
                "{:>6}, buffers of {buffer:>6}: f32 {single:.3}, f32 over 130 binades {wide:.3}, \
                 f64 {double:.3} ns",
                level.name()
            );
        }
        let sum = level.dispatch(Sum {
            values: &losses,
            buffer: 2048,
        });
        assert_eq!(*expected.get_or_insert(sum.to_f64()), sum.to_f64());
    }
    let mut one_by_one = ExactSum::new();
    let scalar = time(losses.len(), || {
        one_by_one = ExactSum::new();
        for &loss in &losses {
            one_by_one.add(loss);
        }
        one_by_one.clone()
    });
    let count = losses.len() as u64;
    let start = Instant::now();
    for _ in 0..1000 {
        black_box(black_box(&one_by_one).divide_by_count(black_box(count)));
    }
    println!(
        "one by one: {scalar:.2} ns; a mean from the sum: {:.0} ns",
        start.elapsed().as_secs_f64() * 1e6
    );
    let mean = one_by_one.divide_by_count(count);
    println!("sum {:?}, mean {mean:?}", one_by_one.to_f64());
}
