//! Sums over a row of what the loss is linear in: the labels, and the logits or `-log p`.
//!
//! In `f64` lanes for all types. A sum over a row of `f64` takes the errors of its additions along.

use super::Settings;
use crate::driver::operand::Operand;
use crate::driver::rows::{Row, for_each_vector, read_block};
use crate::lanes::Token;
use crate::lanes::transpose::transpose;
use crate::loss::twofold::{Twofold, TwofoldLanes};
use crate::loss::{Argument, Batch, Found, Refusal};
use crate::math::log::log;
use crate::math::twofold::{two_product, two_sum};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// Buffers of a thread.
#[derive(Default)]
pub(super) struct LabelBuffers {
    pub(super) y_true: Vec<f64>,
    pub(super) y_pred: Vec<f64>,
    pub(super) result: Vec<f64>,
}

/// The sums over a row; `v` stands for its logits, or for `-log p`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LabelSums {
    /// Of `y`.
    pub(super) labels: Twofold,
    /// Of `y v`, where `y` is not 0.
    pub(super) products: Twofold,
    /// Of `v`, if labels are smoothed.
    pub(super) all: Twofold,
    /// Of `y` times the weight of the class.
    pub(super) weight: f64,
    /// Whether a class with a label has another `v` than `+inf`.
    pub(super) besides_infinity: bool,
}

impl LabelSums {
    /// Of one class, whose logit this is.
    #[inline(always)]
    pub(super) fn of_class(logit: f64) -> Self {
        Self {
            labels: Twofold::from(1.0),
            products: Twofold::from(logit),
            besides_infinity: logit != f64::INFINITY,
            ..Self::default()
        }
    }
}

/// Lanes of the sums.
pub(super) const LANES: usize = 8;

/// The sum of what lanes have, folded in halves.
#[inline(always)]
pub(super) fn fold<S: Token>(mut parts: [TwofoldLanes<S>; LANES]) -> TwofoldLanes<S> {
    for half in [4, 2, 1] {
        for i in 0..half {
            parts[i] = parts[i].plus(parts[i + half]);
        }
    }
    parts[0]
}

/// A sum in lanes, which may `COMPENSATE` the errors of its additions.
#[derive(Clone, Copy)]
pub(super) struct LaneSum<S: Token, const COMPENSATE: bool> {
    sum: f64x8<S>,
    error: f64x8<S>,
}

impl<S: Token, const COMPENSATE: bool> LaneSum<S, COMPENSATE> {
    #[inline(always)]
    pub(super) fn zero(simd: S) -> Self {
        let zero = f64x8::splat(simd, 0.0);
        Self {
            sum: zero,
            error: zero,
        }
    }

    #[inline(always)]
    pub(super) fn add(&mut self, x: f64x8<S>, x_low: f64x8<S>) {
        if COMPENSATE {
            let (sum, error) = two_sum::<S, _>(self.sum, x);
            self.sum = sum;
            self.error += error + x_low;
        } else {
            self.sum += x;
        }
    }

    #[inline(always)]
    pub(super) fn add_product(&mut self, a: f64x8<S>, b: f64x8<S>) {
        let (product, error) = two_product::<S, _>(a, b);
        self.add(product, error);
    }

    /// Add `a * b`; without compensation it is of factors whose product has no error.
    #[inline(always)]
    pub(super) fn add_exact_product(&mut self, a: f64x8<S>, b: f64x8<S>) {
        if COMPENSATE {
            self.add_product(a, b);
        } else {
            self.sum = a.token().add_exact_product(self.sum, a, b);
        }
    }

    /// The sums of the lanes, without their errors.
    #[inline(always)]
    pub(super) fn sum(self) -> f64x8<S> {
        self.sum
    }

    /// [`LaneSum::total`] of eight, one to a lane.
    #[inline(always)]
    pub(super) fn totals(simd: S, sums: &[Self; LANES]) -> TwofoldLanes<S> {
        let (mut high, mut low) = (
            [f64x8::splat(simd, 0.0); LANES],
            [f64x8::splat(simd, 0.0); LANES],
        );
        for (i, sum) in sums.iter().enumerate() {
            (high[i], low[i]) = (sum.sum, sum.error);
        }
        high = transpose(high);
        if COMPENSATE {
            low = transpose(low);
        }
        let mut parts = [TwofoldLanes::new(high[0], low[0]); LANES];
        for i in 1..LANES {
            parts[i] = TwofoldLanes::new(high[i], low[i]);
        }
        fold(parts)
    }

    /// The sum of each lane.
    #[inline(always)]
    pub(super) fn lanes(self) -> TwofoldLanes<S> {
        TwofoldLanes::new(self.sum, self.error)
    }

    #[inline(always)]
    pub(super) fn total(self) -> Twofold {
        let (sums, errors): ([f64; 8], [f64; 8]) = (self.sum.into(), self.error.into());
        let mut parts: [Twofold; 8] = std::array::from_fn(|i| Twofold::new(sums[i], errors[i]));
        for half in [4, 2, 1] {
            for i in 0..half {
                parts[i] = parts[i].plus(parts[i + half]);
            }
        }
        parts[0]
    }
}

/// `-log p` of probabilities clipped to `[epsilon, 1 - epsilon]`; 0 for 1.
#[inline(always)]
pub(super) fn negative_log<S: Token>(simd: S, p: f64x8<S>, epsilon: f64) -> f64x8<S> {
    f64x8::splat(simd, 0.0) - log(simd, clip(simd, p, epsilon))
}

/// `p` clipped to `[epsilon, 1 - epsilon]`; NaN stays.
#[inline(always)]
pub(super) fn clip<S: Token>(simd: S, p: f64x8<S>, epsilon: f64) -> f64x8<S> {
    let (low, high) = (
        f64x8::splat(simd, epsilon),
        f64x8::splat(simd, 1.0 - epsilon),
    );
    let raised = p.simd_lt(low).select(low, p);
    raised.simd_gt(high).select(high, raised)
}

/// Whether an element is outside `[0, 1]`.
#[inline(always)]
pub(super) fn outside<S: Token>(simd: S, x: f64x8<S>) -> <f64x8<S> as SimdBase<S>>::Mask {
    x.simd_lt(f64x8::splat(simd, 0.0)) | x.simd_gt(f64x8::splat(simd, 1.0))
}

/// Sum up a row, with its labels if they are dense; refuse labels, and probabilities, outside `[0, 1]`.
/// Of a row with a probability that is NaN, `products` is NaN.
///
/// # Errors
/// With the first such value.
#[inline(never)]
pub(super) fn sum_row<S: Token>(
    simd: S,
    settings: &Settings<'_>,
    batch: &Batch<'_>,
    row: Row,
    buffers: &mut LabelBuffers,
) -> Result<LabelSums, Refusal> {
    let sums = simd.vectorize(
        #[inline(always)]
        || {
            if batch.double {
                sum_on_lanes::<S, true>(simd, settings, batch, row, buffers)
            } else {
                sum_on_lanes::<S, false>(simd, settings, batch, row, buffers)
            }
        },
    );
    sums.map_err(
        #[cold]
        |(start, n)| {
            let labels = (!settings.sparse).then_some((Argument::YTrue, &batch.y_true));
            let probabilities = (!settings.from_logits).then_some((Argument::YPred, &batch.y_pred));
            labels
                .into_iter()
                .chain(probabilities)
                .find_map(|(argument, operand)| find_outside(simd, argument, operand, start, n))
                .expect("a value of this block was seen outside")
        },
    )
}

/// See [`sum_row`]; the error says in which block a value is refused.
#[inline(always)]
fn sum_on_lanes<S: Token, const COMPENSATE: bool>(
    simd: S,
    settings: &Settings<'_>,
    batch: &Batch<'_>,
    row: Row,
    buffers: &mut LabelBuffers,
) -> Result<LabelSums, (usize, usize)> {
    let zero = f64x8::splat(simd, 0.0);
    let (dense, smoothed) = (!settings.sparse, settings.label_smoothing > 0.0);
    let mut labels = LaneSum::<S, COMPENSATE>::zero(simd);
    let (mut products, mut all, mut weight) = (labels, labels, labels);
    let infinity = f64x8::splat(simd, f64::INFINITY);
    let mut nan = outside(simd, zero);
    let mut besides_infinity = nan;
    for (first, n) in row.blocks() {
        let start = row.start + first;
        let v = read_block(simd, &batch.y_pred, start, n, &mut buffers.y_pred);
        let y = if dense {
            read_block(simd, &batch.y_true, start, n, &mut buffers.y_true)
        } else {
            v
        };
        let class_weight = settings
            .class_weight
            .map_or(y, |weights| weights[first..].as_ptr());
        let mut refused = outside(simd, zero);
        // SAFETY: `n` elements can be read at each place; nothing is written.
        unsafe {
            for_each_vector::<S, f64, 3>(
                simd,
                [y, v, class_weight],
                None,
                n,
                0.0,
                #[inline(always)]
                |[y, v, class_weight], valid| {
                    // A lane that does not count has the label 0 and no logarithm.
                    let (y, v) = match valid {
                        Some(valid) => (valid.select(y, zero), valid.select(v, zero)),
                        None => (y, v),
                    };
                    let y = if dense { y } else { zero };
                    refused |= outside(simd, y);
                    let is_zero = y.simd_eq(zero);
                    let v = if settings.from_logits {
                        v
                    } else {
                        refused |= outside(simd, v);
                        nan |= v.is_nan();
                        // A one-hot row needs the logarithm of one element.
                        if smoothed || !is_zero.all_true() {
                            let v = negative_log(simd, v, settings.epsilon);
                            valid.map_or(v, |valid| valid.select(v, zero))
                        } else {
                            zero
                        }
                    };
                    if dense {
                        besides_infinity |= !(is_zero | v.simd_eq(infinity));
                        labels.add(y, zero);
                        products.add_product(y, is_zero.select(zero, v));
                        if settings.class_weight.is_some() {
                            weight.add_product(y, class_weight);
                        }
                    }
                    if smoothed {
                        all.add(v, zero);
                    }
                    y
                },
            );
        }
        if refused.any_true() {
            return Err((start, n));
        }
    }
    let products = if nan.any_true() {
        Twofold::from(f64::NAN)
    } else {
        products.total()
    };
    Ok(LabelSums {
        labels: labels.total(),
        products,
        all: all.total(),
        weight: weight.total().high,
        besides_infinity: besides_infinity.any_true(),
    })
}

/// The first of `n` values that is outside `[0, 1]`.
#[cold]
fn find_outside<S: Token>(
    simd: S,
    argument: Argument,
    operand: &Operand<'_>,
    start: usize,
    n: usize,
) -> Option<Refusal> {
    let mut values = vec![0.0_f64; n];
    operand.read(simd, start, &mut values);
    let index = values
        .iter()
        .position(|value| *value < 0.0 || *value > 1.0)?;
    Some(Refusal {
        argument,
        position: start + index,
        found: Found::OutsideUnitInterval(values[index]),
    })
}
