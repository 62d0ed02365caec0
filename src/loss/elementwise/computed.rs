//! The types that elementwise losses are computed in, and what is done to a block after the kernel.

use super::super::reduction::Scale;
use super::{Block, Kernels, Summed, load_lanes};
use crate::driver::kernel::canonical_nan;
use crate::dtype::Real;
use crate::lanes::{Lanes, Token};
use crate::reduction::exact::ExactSum;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// A type that losses are computed in.
pub(super) trait Computed: Real {
    /// Evaluate a block of this type.
    fn evaluate<S: Token>(kernels: &dyn Kernels<S>, simd: S, block: Block<'_, Self>);

    /// Evaluate a block and add the values to the sum at once; whether that was done.
    fn add_values<S: Token>(
        kernels: &dyn Kernels<S>,
        simd: S,
        y_true: &[Self],
        y_pred: &[Self],
        sum: Summed<'_>,
    ) -> bool;

    /// The values, if they are `f32`.
    fn as_single(values: &[Self]) -> Option<&[f32]>;

    /// The values, if they are `f64`.
    fn as_double(values: &[Self]) -> Option<&[f64]>;

    /// Values of this very type.
    fn alike<T: Computed>(values: &[T]) -> Option<&[Self]>;

    /// Add the values to an exact sum.
    fn add_to<S: Token>(sum: &mut ExactSum, simd: S, values: &[Self]);

    /// Multiply with `scale`, and a weight each, rounding once.
    fn scale<S: Token>(simd: S, values: &mut [Self], scale: Scale, weights: Option<&[f64]>);
}

impl Computed for f32 {
    fn evaluate<S: Token>(kernels: &dyn Kernels<S>, simd: S, block: Block<'_, Self>) {
        kernels.single(simd, block);
    }

    fn add_values<S: Token>(
        kernels: &dyn Kernels<S>,
        simd: S,
        y_true: &[f32],
        y_pred: &[f32],
        sum: Summed<'_>,
    ) -> bool {
        kernels.single_summed(simd, y_true, y_pred, sum)
    }

    fn as_single(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }

    fn as_double(_: &[Self]) -> Option<&[f64]> {
        None
    }

    fn alike<T: Computed>(values: &[T]) -> Option<&[Self]> {
        T::as_single(values)
    }

    fn add_to<S: Token>(sum: &mut ExactSum, simd: S, values: &[Self]) {
        sum.add_f32_slice(simd, values);
    }

    fn scale<S: Token>(simd: S, values: &mut [Self], scale: Scale, weights: Option<&[f64]>) {
        simd.vectorize(
            #[inline(always)]
            || match weights {
                None => {
                    for value in values {
                        *value = without_payload(f64::from(*value) * scale.high) as f32;
                    }
                }
                Some(weights) => {
                    for (value, weight) in values.iter_mut().zip(weights) {
                        *value = without_payload(f64::from(*value) * (weight * scale.high)) as f32;
                    }
                }
            },
        );
    }
}

impl Computed for f64 {
    fn evaluate<S: Token>(kernels: &dyn Kernels<S>, simd: S, block: Block<'_, Self>) {
        kernels.double(simd, block);
    }

    fn add_values<S: Token>(_: &dyn Kernels<S>, _: S, _: &[f64], _: &[f64], _: Summed<'_>) -> bool {
        false
    }

    fn as_single(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn as_double(values: &[Self]) -> Option<&[f64]> {
        Some(values)
    }

    fn alike<T: Computed>(values: &[T]) -> Option<&[Self]> {
        T::as_double(values)
    }

    fn add_to<S: Token>(sum: &mut ExactSum, simd: S, values: &[Self]) {
        sum.add_f64_slice(simd, values);
    }

    fn scale<S: Token>(simd: S, values: &mut [Self], scale: Scale, weights: Option<&[f64]>) {
        simd.vectorize(
            #[inline(always)]
            || {
                let high = f64x8::splat(simd, scale.high);
                let low = f64x8::splat(simd, scale.low);
                for start in (0..values.len()).step_by(8) {
                    let end = values.len().min(start + 8);
                    let (factor, factor_low) = match weights {
                        None => (high, low),
                        Some(weights) => {
                            let weight = load_lanes::<S, f64>(simd, &weights[start..end]);
                            let factor = weight * high;
                            (factor, weight.fma(low, weight.fma(high, -factor)))
                        }
                    };
                    let value = load_lanes::<S, f64>(simd, &values[start..end]);
                    let plain = value * factor;
                    let precise = value.fma(factor, value * factor_low);
                    // The low parts of infinities and NaN mean nothing.
                    let scaled = precise.is_finite().select(precise, plain);
                    let scaled = canonical_nan(simd, scaled);
                    values[start..end].copy_from_slice(&scaled.as_slice()[..end - start]);
                }
            },
        );
    }
}

/// The values times their weights, rounded once to the type of "none".
pub(super) fn weigh_values<S: Token, T: Real, N: Real>(
    simd: S,
    values: &[T],
    weights: Option<&[f64]>,
    weighted: &mut [N],
) {
    simd.vectorize(
        #[inline(always)]
        || match weights {
            None => {
                for (target, &value) in weighted.iter_mut().zip(values) {
                    *target = N::nearest(value.into());
                }
            }
            Some(weights) => {
                for ((target, &value), &weight) in weighted.iter_mut().zip(values).zip(weights) {
                    *target = N::nearest(without_payload(weight * value.into()));
                }
            }
        },
    );
}

/// A NaN that arises has another sign on another CPU; see [`canonical_nan`].
#[inline(always)]
fn without_payload(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}
