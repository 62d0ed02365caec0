//! Every level of the machine against plain loops, and both ways through memory against each other.

use super::batch::{self, Statistics};
use super::rows::Rows;
use super::{Channels, norm};
use crate::driver::operand::{Operand, OperandMut};
use crate::dtype::Dtype;
use crate::level::Level;
use crate::reduction::exact::ExactSum;

/// Numbers in [-0.5, 0.5), from a linear congruential generator.
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let next = |_| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((state >> 40) as f32) / (1 << 24) as f32 - 0.5
    };
    (0..n).map(next).collect()
}

fn operand(values: &[f32], shape: [usize; 2], transposed: bool) -> Operand<'_> {
    let (shape, strides) = layout(shape, transposed);
    // SAFETY: the elements of the slice, each once.
    unsafe {
        Operand::new(
            values.as_ptr().cast(),
            Dtype::Float32,
            false,
            &shape,
            &strides,
        )
    }
}

fn operand_mut(values: &mut [f32], shape: [usize; 2], transposed: bool) -> OperandMut<'_> {
    let (shape, strides) = layout(shape, transposed);
    let data = values.as_mut_ptr().cast();
    // SAFETY: the elements of the slice, each once.
    unsafe { OperandMut::new(data, Dtype::Float32, false, &shape, &strides) }
}

/// Of an array in C order, as it is or with its axes exchanged.
fn layout([rows, columns]: [usize; 2], transposed: bool) -> ([usize; 2], [isize; 2]) {
    let stride = columns as isize * 4;
    if transposed {
        ([columns, rows], [4, stride])
    } else {
        ([rows, columns], [stride, 4])
    }
}

const SHAPES: [[usize; 2]; 10] = [
    [2, 1],
    [9, 5],
    [64, 130],
    [1024, 3],
    [2500, 17],
    [1100, 260],
    [70, 600],
    // Whole groups of short rows and a rest; runs of parts of the channels, the last one shorter.
    [50, 10],
    [33, 4],
    [3, 20_500],
];

#[test]
fn batches_are_normalised_alike_on_all_levels_and_layouts() {
    for [samples, channels] in SHAPES {
        let x = numbers(samples * channels, 1);
        let dy = numbers(samples * channels, 2);
        let gamma: Vec<f64> = (0..channels).map(|c| 1.0 + c as f64 / 8.0).collect();
        let beta: Vec<f64> = (0..channels).map(|c| c as f64 / 4.0 - 1.0).collect();
        let mut results = Vec::new();
        for level in Level::available() {
            for last in [true, false] {
                let view = Channels {
                    level,
                    samples,
                    channels,
                    last,
                };
                let shape = [samples, channels];
                let source = operand(&x, shape, !last);
                let mut y = vec![0.0; x.len()];
                let parameters = (&gamma[..], &beta[..]);
                let out = operand_mut(&mut y, shape, !last);
                let statistics =
                    batch::normalise(&view, &source, None, parameters, 1e-3, &out, &|| true)
                        .unwrap();
                let taken = Statistics::of_batch(&view, &source, &|| true).unwrap();
                assert_eq!((taken.mean, taken.variance), statistics);
                let mut dx = vec![0.0; x.len()];
                let out = operand_mut(&mut dx, shape, !last);
                let upstream = operand(&dy, shape, !last);
                let (dgamma, dbeta) =
                    batch::gradient(&view, &upstream, &source, None, &gamma, 1e-3, &out, &|| {
                        true
                    })
                    .unwrap();
                for c in 0..channels {
                    let column = |values: &[f32]| -> Vec<f64> {
                        (0..samples)
                            .map(|i| f64::from(values[i * channels + c]))
                            .collect()
                    };
                    let (xs, ys, dys) = (column(&x), column(&y), column(&dy));
                    let n = samples as f64;
                    let mean = xs.iter().sum::<f64>() / n;
                    let variance = xs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
                    let scale = 1.0 / (variance + 1e-3).sqrt();
                    for (x, y) in xs.iter().zip(&ys) {
                        let exact = (x - mean) * scale * gamma[c] + beta[c];
                        assert!((y - exact).abs() < 1e-6 * (1.0 + exact.abs()));
                    }
                    let sum: f64 = xs
                        .iter()
                        .zip(&dys)
                        .map(|(x, dy)| dy * (x - mean) * scale)
                        .sum();
                    assert!((dgamma[c] - sum).abs() < 1e-9);
                    assert!((dbeta[c] - dys.iter().sum::<f64>()).abs() < 1e-9);
                }
                results.push((y, dx, dgamma, dbeta, statistics));
            }
        }
        assert!(results.iter().all(|result| *result == results[0]));
    }
}

#[test]
fn rows_are_normalised_alike_on_all_levels() {
    for [rows, columns] in SHAPES {
        let (x, dy) = (numbers(rows * columns, 3), numbers(rows * columns, 4));
        let gamma = vec![1.5; columns];
        let beta = vec![0.25; columns];
        for centred in [true, false] {
            let mut results = Vec::new();
            for level in Level::available() {
                let call = Rows {
                    level,
                    rows,
                    columns,
                    centred,
                    epsilon: 1e-3,
                    gamma: &gamma,
                    beta: &beta,
                };
                let shape = [rows, columns];
                let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
                let source = operand(&x, shape, false);
                let out = operand_mut(&mut y, shape, false);
                call.normalised(&source, &out, &|| true).unwrap();
                let upstream = operand(&dy, shape, false);
                let out = operand_mut(&mut dx, shape, false);
                let sums = call.gradient(&upstream, &source, &out, &|| true).unwrap();
                for (x, y) in x.chunks(columns).zip(y.chunks(columns)) {
                    let n = columns as f64;
                    let wide = || x.iter().map(|&x| f64::from(x));
                    let mean = if centred {
                        wide().sum::<f64>() / n
                    } else {
                        0.0
                    };
                    let square = wide().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
                    for (x, &y) in wide().zip(y) {
                        let exact = (x - mean) / (square + 1e-3).sqrt() * 1.5 + 0.25;
                        assert!((f64::from(y) - exact).abs() < 1e-6 * (1.0 + exact.abs()));
                    }
                }
                results.push((y, dx, sums));
            }
            assert!(results.iter().all(|result| *result == results[0]));
        }
    }
}

#[test]
fn the_norm_is_that_of_the_exact_sum() {
    // 3, 4, 12 and 84 make 85, whatever is between and however it is scaled.
    let values: Vec<f64> = [3.0, 0.0, 4.0, 12.0, 84.0]
        .into_iter()
        .cycle()
        .take(5)
        .chain(vec![0.0; 3000])
        .collect();
    for level in Level::available() {
        for scale in [1.0, 2.0_f64.powi(-1060), 2.0_f64.powi(1000)] {
            let scaled: Vec<f64> = values.iter().map(|value| value * scale).collect();
            let found = norm::global_norm(level, &[Operand::from_slice(&scaled)], &|| true);
            assert_eq!(found, Ok(85.0 * scale));
        }
    }
}

#[test]
fn squares_of_any_span_give_the_norm_of_their_exact_sum() {
    let plain = numbers(40_003, 7);
    let changed = |change: &dyn Fn(usize, f32) -> f32| -> Vec<f32> {
        (plain.iter().enumerate().map(|(i, &x)| change(i, x))).collect()
    };
    let cases = [
        plain.clone(),
        vec![0.0; 20_000],
        // 47 bits of a square and 16 of the count: many of the sums lie in the middle between two float64.
        vec![0.1; 40_001],
        vec![0.3; 32_771],
        changed(&|i, x| if i % 3 == 0 { 0.0 } else { x }),
        changed(&|i, x| x * 2.0_f32.powi(-(i as i32 % 140))),
        changed(&|i, x| x * 2.0_f32.powi(i as i32 / 180 - 126)),
        changed(&|i, x| if i == 30_000 { 3e38 } else { x }),
        changed(&|_, x| x * f32::MIN_POSITIVE),
        changed(&|_, x| x * f32::MAX),
        changed(&|i, x| if i == 39_999 { f32::INFINITY } else { x }),
    ];
    for values in cases {
        let mut sum = ExactSum::new();
        for &value in &values {
            sum.add(f64::from(value) * f64::from(value));
        }
        for level in Level::available() {
            let found = norm::global_norm(level, &[Operand::from_slice(&values)], &|| true);
            assert_eq!(found, Ok(sum.to_f64().sqrt()));
        }
    }
}
