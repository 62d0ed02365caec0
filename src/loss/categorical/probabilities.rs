//! A row of probabilities: its loss, gradient and Hessian.
//!
//! They are used as given. A term whose label is 0 is 0, also where `p` is; where `epsilon` clips, the
//! derivatives are 0.

use super::Settings;
use super::labels::{LabelBuffers, LabelSums, clip, negative_log};
use super::logits::{Derivatives, Label};
use crate::driver::kernel::canonical_nan;
use crate::driver::rows::{Row, for_each_vector, read_block, reserve};
use crate::lanes::Token;
use crate::loss::Batch;
use crate::loss::twofold::Twofold;
use crate::reduction::row_probabilities::fill;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// Make the loss of the target the sum of products, in rows without NaN.
pub(super) fn add_targets<'a, S: Token>(
    simd: S,
    settings: &Settings<'_>,
    targets: &[f64],
    mut sums: impl Iterator<Item = &'a mut LabelSums>,
) {
    for eight in targets.chunks(8) {
        let mut p = [1.0; 8];
        p[..eight.len()].copy_from_slice(eight);
        let logs = negative_logs(simd, p, settings.epsilon);
        for (log, sums) in logs[..eight.len()].iter().zip(sums.by_ref()) {
            if !sums.products.high.is_nan() {
                sums.products = Twofold::from(*log);
            }
        }
    }
}

/// `-log p` of eight probabilities.
#[inline(never)]
fn negative_logs<S: Token>(simd: S, p: [f64; 8], epsilon: f64) -> [f64; 8] {
    simd.vectorize(
        #[inline(always)]
        || negative_log(simd, f64x8::load_array(simd, p), epsilon).into(),
    )
}

/// The loss of a row; `sums` holds the sums of `-log p`.
pub(super) fn value(settings: &Settings<'_>, classes: usize, sums: &LabelSums) -> Twofold {
    let smoothing = settings.label_smoothing;
    if smoothing == 0.0 {
        return sums.products;
    }
    let share = Twofold::from(smoothing / classes as f64);
    settings.kept(sums.products).plus(share.times(sums.all))
}

/// Write the derivatives of a row, `-factor y' / p` and `factor y' / p^2`.
#[inline(never)]
pub(super) fn differentiate<S: Token>(
    simd: S,
    (settings, batch): (&Settings<'_>, &Batch<'_>),
    (row, label, is_nan): (Row, Label, bool),
    derivatives: Derivatives<'_>,
    buffers: &mut LabelBuffers,
) {
    let Derivatives {
        gradient,
        hessian,
        factor,
    } = derivatives;
    if is_nan {
        for out in [Some(gradient), hessian].into_iter().flatten() {
            fill(simd, out, &mut buffers.result, row, f64::NAN);
        }
        return;
    }
    let keep = settings.keep();
    let uniform = settings.uniform(row.columns);
    simd.vectorize(
        #[inline(always)]
        || {
            let splat = |value| f64x8::splat(simd, value);
            for (first, n) in row.blocks() {
                let start = row.start + first;
                let p = read_block(simd, &batch.y_pred, start, n, &mut buffers.y_pred);
                let result = reserve(&mut buffers.result, n).as_mut_ptr();
                let (dense, y) = match label {
                    Label::Class(..) => (false, p),
                    Label::Dense => {
                        let y = read_block(simd, &batch.y_true, start, n, &mut buffers.y_true);
                        (true, y)
                    }
                };
                let target = match label {
                    Label::Class(target, p) => target
                        .checked_sub(first)
                        .filter(|&index| index < n)
                        .map(|index| (index, p)),
                    Label::Dense => None,
                };
                for (out, order) in [(Some(gradient), 1), (hessian, 2)] {
                    let Some(out) = out else { continue };
                    let at = Derivative {
                        order,
                        factor,
                        epsilon: settings.epsilon,
                    };
                    // SAFETY: `n` elements can be read at each place and written to the buffer, which is
                    // apart from them.
                    unsafe {
                        for_each_vector::<S, f64, 2>(
                            simd,
                            [p, y],
                            Some(result),
                            n,
                            0.0,
                            #[inline(always)]
                            |[p, y], _| {
                                let y = if dense { y * splat(keep) } else { splat(0.0) };
                                at.of(simd, p, y + splat(uniform))
                            },
                        );
                        if let Some((index, p)) = target {
                            *result.add(index) = at.of(simd, splat(p), splat(keep + uniform))[0];
                        }
                        // The last to be written, should it be where the probabilities are.
                        out.write(simd, start, std::slice::from_raw_parts(result, n));
                    }
                }
            }
        },
    );
}

/// A derivative of `-factor y log p`.
#[derive(Clone, Copy)]
struct Derivative {
    order: u32,
    factor: f64,
    epsilon: f64,
}

impl Derivative {
    #[inline(always)]
    fn of<S: Token>(self, simd: S, p: f64x8<S>, y: f64x8<S>) -> f64x8<S> {
        let zero = f64x8::splat(simd, 0.0);
        let clipped = clip(simd, p, self.epsilon);
        let slope = if self.order == 1 {
            -(y / clipped)
        } else {
            (y / clipped) / clipped
        };
        let none = y.simd_eq(zero) | !clipped.simd_eq(p);
        canonical_nan(
            simd,
            none.select(zero, slope) * f64x8::splat(simd, self.factor),
        )
    }
}
