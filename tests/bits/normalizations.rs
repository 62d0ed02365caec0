//! Batch, layer and RMS normalisation with their gradients, the norm and what it clips.
//!
//! The shapes reach rings of samples that are shorter and longer than a segment, tiles of many channels,
//! channels in chunks of more samples than are summed at a time, and rows of each kind. Some channels and rows
//! lie far from 0, where squares are summed anew from deviations.

use super::{Digest, Digests, Random};
use actloss_rs::driver::operand::{Operand, OperandMut};
use actloss_rs::dtype::{Bf16, Dtype, F16, Storage};
use actloss_rs::level::Level;
use actloss_rs::normalization::batch::{self, Statistics};
use actloss_rs::normalization::rows::Rows;
use actloss_rs::normalization::{Channels, norm};

/// Samples and channels.
const BATCHES: [[usize; 2]; 5] = [[9001, 1], [2500, 17], [300, 130], [258, 530], [23, 1303]];

/// Rows and columns.
const ROWS: [[usize; 2]; 6] = [
    [2100, 10],
    [300, 33],
    [131, 100],
    [70, 1000],
    [5, 5003],
    [2, 33007],
];

const EPSILON: f64 = 1e-5;

pub(super) fn digests(level: Level, found: &mut Digests) {
    of_type::<f32>(level, Dtype::Float32, "float32", found);
    of_type::<f64>(level, Dtype::Float64, "float64", found);
    of_type::<F16>(level, Dtype::Float16, "float16", found);
    of_type::<Bf16>(level, Dtype::BFloat16, "bfloat16", found);
}

fn of_type<T: Storage>(level: Level, dtype: Dtype, name: &str, found: &mut Digests) {
    for [samples, channels] in BATCHES {
        for last in [true, false] {
            let digest = batches::<T>(level, dtype, [samples, channels], last);
            let order = if last { "last" } else { "first" };
            found.insert(
                format!("batch_norm {samples} {channels} {order} {name}"),
                digest,
            );
        }
    }
    for [rows, columns] in ROWS {
        for (function, centred) in [("layer_norm", true), ("rms_norm", false)] {
            let digest = of_rows::<T>(level, dtype, [rows, columns], centred);
            found.insert(format!("{function} {rows} {columns} {name}"), digest);
        }
    }
    found.insert(format!("global_norm {name}"), norms::<T>(level, dtype));
}

/// An array in C order.
fn operand<T: Storage>(values: &[T], dtype: Dtype, [rows, columns]: [usize; 2]) -> Operand<'_> {
    let size = size_of::<T>() as isize;
    let strides = [columns as isize * size, size];
    let data = values.as_ptr().cast();
    // SAFETY: the elements of the slice, each once.
    unsafe { Operand::new(data, dtype, false, &[rows, columns], &strides) }
}

/// An array in C order.
fn target<T: Storage>(
    values: &mut [T],
    dtype: Dtype,
    [rows, columns]: [usize; 2],
) -> OperandMut<'_> {
    let size = size_of::<T>() as isize;
    let strides = [columns as isize * size, size];
    let data = values.as_mut_ptr().cast();
    // SAFETY: the elements of the slice, each once.
    unsafe { OperandMut::new(data, dtype, false, &[rows, columns], &strides) }
}

/// Bell-shaped numbers, each third line of them around 100.
fn numbers<T: Storage>(lines: usize, [rows, columns]: [usize; 2], along: bool) -> Vec<T> {
    let mut random = Random(5);
    let line = |i: usize| if along { i / columns } else { i % columns };
    (0..rows * columns)
        .map(|i| {
            let far = if line(i) % lines == 2 { 100.0 } else { 0.0 };
            T::from_f64(random.logit(3.0) + far)
        })
        .collect()
}

fn parameters(n: usize) -> [Vec<f64>; 2] {
    let mut random = Random(6);
    [1.0, 0.0].map(|centre| (0..n).map(|_| centre + random.logit(0.5)).collect())
}

fn add<'a>(digest: &mut Digest, numbers: impl IntoIterator<Item = &'a f64>) {
    for number in numbers {
        digest.add(*number);
    }
}

fn add_elements<T: Storage>(digest: &mut Digest, elements: &[T]) {
    for element in elements {
        digest.add(element.to_f64());
    }
}

fn batches<T: Storage>(
    level: Level,
    dtype: Dtype,
    [samples, channels]: [usize; 2],
    last: bool,
) -> u64 {
    let shape = if last {
        [samples, channels]
    } else {
        [channels, samples]
    };
    let view = Channels {
        level,
        samples,
        channels,
        last,
    };
    let mut digest = Digest::default();
    let [gamma, beta] = parameters(channels);
    let running = Statistics::given(beta.clone(), gamma.clone());
    // All near 0, or each third channel not.
    for lines in [usize::MAX, 3] {
        let x: Vec<T> = numbers(lines, shape, !last);
        let dy: Vec<T> = numbers(usize::MAX, [1, x.len()], false);
        let (from_x, from_dy) = (operand(&x, dtype, shape), operand(&dy, dtype, shape));
        for given in [None, Some(&running)] {
            if given.is_some() && lines < usize::MAX {
                continue;
            }
            let mut y = x.clone();
            let out = target(&mut y, dtype, shape);
            let affine = (&gamma[..], &beta[..]);
            let found = batch::normalise(&view, &from_x, given, affine, EPSILON, &out, &|| true);
            let found = found.expect("not interrupted");
            add_elements(&mut digest, &y);
            add(&mut digest, found.0.iter().chain(&found.1));
            let out = target(&mut y, dtype, shape);
            let sums = batch::gradient(
                &view,
                &from_dy,
                &from_x,
                given,
                &gamma,
                EPSILON,
                &out,
                &|| true,
            );
            let (by_gamma, by_beta) = sums.expect("not interrupted");
            add_elements(&mut digest, &y);
            add(&mut digest, by_gamma.iter().chain(&by_beta));
        }
    }
    digest.finish()
}

fn of_rows<T: Storage>(level: Level, dtype: Dtype, shape: [usize; 2], centred: bool) -> u64 {
    let [rows, columns] = shape;
    let [gamma, beta] = parameters(columns);
    let call = Rows {
        level,
        rows,
        columns,
        centred,
        epsilon: EPSILON,
        gamma: &gamma,
        beta: &beta,
    };
    let mut digest = Digest::default();
    for lines in [usize::MAX, 3] {
        let x: Vec<T> = numbers(lines, shape, true);
        let dy: Vec<T> = numbers(usize::MAX, [1, x.len()], false);
        let (from_x, from_dy) = (operand(&x, dtype, shape), operand(&dy, dtype, shape));
        let mut y = x.clone();
        let out = target(&mut y, dtype, shape);
        call.normalised(&from_x, &out, &|| true)
            .expect("not interrupted");
        add_elements(&mut digest, &y);
        let out = target(&mut y, dtype, shape);
        let sums = call.gradient(&from_dy, &from_x, &out, &|| true);
        let (by_gamma, by_beta) = sums.expect("not interrupted");
        add_elements(&mut digest, &y);
        add(&mut digest, by_gamma.iter().chain(&by_beta));
    }
    digest.finish()
}

/// Of arrays of several sizes, alone and together, and one of them clipped.
fn norms<T: Storage>(level: Level, dtype: Dtype) -> u64 {
    let mut digest = Digest::default();
    // Squares of the smallest and largest need another scale, in `f64`.
    for exponent in [0, -14, 12, -540, 515] {
        let scale = 2.0_f64.powi(if dtype == Dtype::Float64 {
            exponent
        } else {
            exponent % 20
        });
        let arrays: Vec<Vec<T>> = [1, 100, 5003, 9001]
            .iter()
            .map(|&n| {
                let numbers: Vec<T> = numbers(usize::MAX, [1, n], false);
                let scaled = numbers.iter().map(|x| T::from_f64(x.to_f64() * scale));
                scaled.collect()
            })
            .collect();
        let norm = |arrays: &[Vec<T>]| {
            let operands = arrays
                .iter()
                .map(|array| operand(array, dtype, [1, array.len()]));
            let operands: Vec<_> = operands.collect();
            norm::global_norm(level, &operands, &|| true).expect("not interrupted")
        };
        for array in &arrays {
            digest.add(norm(std::slice::from_ref(array)));
        }
        let all = norm(&arrays);
        digest.add(all);
        let mut clipped = arrays[2].clone();
        let shape = [1, clipped.len()];
        let out = target(&mut clipped, dtype, shape);
        let source = operand(&arrays[2], dtype, shape);
        norm::scale(level, &source, 3.0 / all, &out, &|| true).expect("not interrupted");
        add_elements(&mut digest, &clipped);
    }
    digest.finish()
}
