//! Batch normalisation: each channel to mean 0 and variance 1 over the samples of a batch (Ioffe and
//! Szegedy, "Batch Normalization", ICML 2015), or by statistics gathered before.
//!
//! Of `f32` the sums are first taken of the values as they are, in one pass and in `f64`, in which squares are
//! exact. Where more than [`CANCELLED`] bits of a channel's mean square cancel in its variance, as for values
//! far from 0, and for `f64` always, its squares are taken again of deviations from a mean in two parts. So no
//! variance is ever a difference of nearly equal numbers. The result, or gradient, is a second pass.

use super::channel_maps::Map;
use super::channel_sums::Means;
use super::channel_terms::{
    Gradients, SquaredDeviation, Value, ValueAndSquare, ValuesAndGradients,
};
use super::channels::{Channels, View};
use super::sixteen::{Operands, Sixteen};
use super::sums::{canonical, divide, is_narrow};
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::kernel::canonical_nan;
use crate::driver::operand::{Operand, OperandMut};
use crate::driver::threads::Interrupted;
use crate::dtype::Dtype;
use crate::lanes::{Lanes, Token};
use crate::level::OnLevel;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use std::ops::Range;

/// Bits of a mean square that may cancel: of 53 more than enough remain for an `f32`, after all errors of sums.
const CANCELLED: i32 = 8;

/// Mean and variance of each channel.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// The mean.
    pub mean: Vec<f64>,
    /// What is missing to the mean.
    mean_low: Vec<f64>,
    /// The variance: of a batch the biased one, the mean of the squared deviations.
    pub variance: Vec<f64>,
    /// Whether `x * scale - mean * scale` is as good as `(x - mean) * scale`.
    near: Vec<bool>,
}

impl Statistics {
    /// Statistics that were gathered before.
    #[must_use]
    pub fn given(mean: Vec<f64>, variance: Vec<f64>) -> Self {
        Self {
            mean_low: vec![0.0; mean.len()],
            near: vec![false; mean.len()],
            mean,
            variance,
        }
    }

    /// Those of a batch.
    ///
    /// # Errors
    /// [`Interrupted`] when `keep_going` said no.
    pub fn of_batch(
        view: &Channels,
        x: &Operand<'_>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Self, Interrupted> {
        let _environment = FloatingPointGuard::new();
        let operands = Operands { x, dy: None };
        let of = if is_narrow(x.dtype()) {
            Self::of_view::<f32>
        } else {
            Self::of_view::<f64>
        };
        of(&view.whole(), operands, keep_going)
    }

    fn of_view<T: Sixteen>(
        view: &View,
        operands: Operands<'_>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Self, Interrupted> {
        if T::EXACT {
            let [sums] = view.sums::<1, T, Value>(operands, Means::NONE, keep_going)?;
            Self::of_sums::<T>(view, operands, sums, Vec::new(), keep_going)
        } else {
            let [sums, squares] =
                view.sums::<2, T, ValueAndSquare>(operands, Means::NONE, keep_going)?;
            Self::of_sums::<T>(view, operands, sums, squares, keep_going)
        }
    }

    /// Those of some channels.
    fn part(&self, channels: Range<usize>) -> Self {
        Self {
            mean: self.mean[channels.clone()].to_vec(),
            mean_low: self.mean_low[channels.clone()].to_vec(),
            variance: self.variance[channels.clone()].to_vec(),
            near: self.near[channels].to_vec(),
        }
    }

    /// From sums and, where they may serve, sums of squares.
    fn of_sums<T: Sixteen>(
        view: &View,
        operands: Operands<'_>,
        sums: Vec<(f64, f64)>,
        squares: Vec<(f64, f64)>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Self, Interrupted> {
        let n = view.of.samples as f64;
        let channels = sums.len();
        let [mut high, mut low, mut variance] = [0.0, 0.0, f64::NAN].map(|of| vec![of; channels]);
        let mut near = vec![false; channels];
        view.of.level.dispatch(OnLanes(
            #[inline(always)]
            || {
                for (c, (sum, rest)) in sums.into_iter().enumerate() {
                    (high[c], low[c]) = divide(sum, rest, n);
                }
                for (c, (sum, rest)) in squares.into_iter().enumerate() {
                    let (square, rest) = divide(sum, rest, n);
                    variance[c] = (square - high[c] * high[c]) + rest;
                    near[c] = square <= f64::from(1 << CANCELLED) * variance[c];
                }
            },
        ));
        if near.contains(&false) {
            let means = Means {
                high: &high,
                low: &low,
            };
            let [again] = view.sums::<1, T, SquaredDeviation>(operands, means, keep_going)?;
            for (c, (sum, rest)) in again.into_iter().enumerate() {
                if !near[c] {
                    let (square, rest) = divide(sum, rest, n);
                    variance[c] = square + rest;
                }
            }
        }
        for value in high.iter_mut().chain(&mut variance) {
            *value = canonical(*value);
        }
        Ok(Self {
            mean: high,
            mean_low: low,
            variance,
            near,
        })
    }

    fn means(&self) -> Means<'_> {
        Means {
            high: &self.mean,
            low: &self.mean_low,
        }
    }

    /// `1 / sqrt(variance + epsilon)`.
    fn scale(&self, epsilon: f64) -> Vec<f64> {
        let scale = |variance| 1.0 / f64::sqrt(variance + epsilon);
        self.variance.iter().copied().map(scale).collect()
    }

    /// What to take from the elements, high and low parts: 0 where that is in the summand already.
    fn centres(&self) -> [Vec<f64>; 2] {
        [&self.mean, &self.mean_low].map(|parts| {
            let part = |(part, near): (&f64, &bool)| if *near { 0.0 } else { *part };
            parts.iter().zip(&self.near).map(part).collect()
        })
    }
}

/// A loop over channels, compiled for the level: the fused operations of a division are calls elsewhere.
struct OnLanes<F>(F);

impl<F: FnOnce()> OnLevel for OnLanes<F> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        simd.vectorize(
            #[inline(always)]
            || (self.0)(),
        );
    }
}

/// `x factor + summand`, of finite coefficients of the batch itself: no NaN can come of it.
struct Affine;
impl Map<2> for Affine {
    const VALUE: bool = true;
    const GRADIENT: bool = false;
    #[inline(always)]
    fn of<S: Token>(x: f64x8<S>, _dy: f64x8<S>, [factor, summand]: [f64x8<S>; 2]) -> f64x8<S> {
        x.fma(factor, summand)
    }
}

/// `(x - centre) factor + summand`.
struct AffineAround;
impl Map<4> for AffineAround {
    const VALUE: bool = true;
    const GRADIENT: bool = false;
    #[inline(always)]
    fn of<S: Token>(
        x: f64x8<S>,
        _dy: f64x8<S>,
        [factor, summand, high, low]: [f64x8<S>; 4],
    ) -> f64x8<S> {
        canonical_nan(x.token(), ((x - high) - low).fma(factor, summand))
    }
}

/// The gradient by `x` of fixed statistics.
struct ScaledGradient;
impl Map<1> for ScaledGradient {
    const VALUE: bool = false;
    const GRADIENT: bool = true;
    #[inline(always)]
    fn of<S: Token>(_x: f64x8<S>, dy: f64x8<S>, [factor]: [f64x8<S>; 1]) -> f64x8<S> {
        canonical_nan(dy.token(), dy * factor)
    }
}

/// That of statistics which change with the input, of finite coefficients.
struct InputGradient;
impl Map<3> for InputGradient {
    const VALUE: bool = true;
    const GRADIENT: bool = true;
    #[inline(always)]
    fn of<S: Token>(
        x: f64x8<S>,
        dy: f64x8<S>,
        [factor, slope, summand]: [f64x8<S>; 3],
    ) -> f64x8<S> {
        x.fma(slope, dy.fma(factor, summand))
    }
}

/// The same by deviations.
struct InputGradientAround;
impl Map<5> for InputGradientAround {
    const VALUE: bool = true;
    const GRADIENT: bool = true;
    #[inline(always)]
    fn of<S: Token>(
        x: f64x8<S>,
        dy: f64x8<S>,
        [factor, slope, summand, high, low]: [f64x8<S>; 5],
    ) -> f64x8<S> {
        canonical_nan(
            x.token(),
            ((x - high) - low).fma(slope, dy.fma(factor, summand)),
        )
    }
}

fn all_finite(coefficients: &[&[f64]]) -> bool {
    coefficients
        .iter()
        .copied()
        .flatten()
        .all(|value| value.is_finite())
}

/// The parameters of some channels, given for each channel or once for all.
fn of_channels(values: &[f64], channels: Range<usize>) -> Vec<f64> {
    match values {
        [one] => vec![*one; channels.len()],
        all => all[channels].to_vec(),
    }
}

/// `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, channel by channel, to `out`, which is exactly
/// `x` or does not overlap it. Without `statistics` those of `x` itself are taken. Mean and variance come back.
///
/// # Errors
/// [`Interrupted`] when `keep_going` said no.
pub fn normalise(
    view: &Channels,
    x: &Operand<'_>,
    statistics: Option<&Statistics>,
    (gamma, beta): (&[f64], &[f64]),
    epsilon: f64,
    out: &OperandMut<'_>,
    keep_going: &dyn Fn() -> bool,
) -> Result<(Vec<f64>, Vec<f64>), Interrupted> {
    let _environment = FloatingPointGuard::new();
    let write = match (is_narrow(x.dtype()), out.dtype()) {
        (true, Dtype::Float32) => write::<f32, f32>,
        (true, _) => write::<f32, f64>,
        (false, _) => write::<f64, f64>,
    };
    let parts = view.for_each_part(keep_going, |view, keep_going| {
        let _environment = FloatingPointGuard::new();
        let channels = view.channels.clone();
        let given = statistics.map(|all| all.part(channels.clone()));
        let gamma = of_channels(gamma, channels.clone());
        let parameters = (&gamma[..], of_channels(beta, channels));
        let own = write(view, x, given, parameters, epsilon, out, keep_going)?;
        Ok((own.mean, own.variance))
    })?;
    let (means, variances): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    Ok((means.concat(), variances.concat()))
}

fn write<T: Sixteen, O: Sixteen>(
    view: &View,
    x: &Operand<'_>,
    given: Option<Statistics>,
    (gamma, beta): (&[f64], Vec<f64>),
    epsilon: f64,
    out: &OperandMut<'_>,
    keep_going: &dyn Fn() -> bool,
) -> Result<Statistics, Interrupted> {
    let operands = Operands { x, dy: None };
    let statistics = match given {
        Some(given) => given,
        None => Statistics::of_view::<T>(view, operands, keep_going)?,
    };
    let factor = product(&statistics.scale(epsilon), gamma);
    let mut summand = beta;
    for (c, summand) in summand.iter_mut().enumerate() {
        if statistics.near[c] {
            *summand -= statistics.mean[c] * factor[c];
        }
    }
    if !statistics.near.contains(&false) && all_finite(&[&factor, &summand]) {
        view.map::<2, T, O, Affine>(operands, &[factor, summand], out, keep_going)?;
    } else {
        let [high, low] = statistics.centres();
        let coefficients = [factor, summand, high, low];
        view.map::<4, T, O, AffineAround>(operands, &coefficients, out, keep_going)?;
    }
    Ok(statistics)
}

/// The gradient by `x`, to `out`, which is exactly `dy` or `x` or overlaps neither, and those by gamma
/// and beta. Without `statistics` those of `x` itself are taken, which change with it.
///
/// # Errors
/// [`Interrupted`] when `keep_going` said no.
#[allow(clippy::too_many_arguments, reason = "the operands of one formula")]
pub fn gradient(
    view: &Channels,
    dy: &Operand<'_>,
    x: &Operand<'_>,
    statistics: Option<&Statistics>,
    gamma: &[f64],
    epsilon: f64,
    out: &OperandMut<'_>,
    keep_going: &dyn Fn() -> bool,
) -> Result<(Vec<f64>, Vec<f64>), Interrupted> {
    let _environment = FloatingPointGuard::new();
    let narrow = is_narrow(x.dtype()) && is_narrow(dy.dtype());
    let of = match (narrow, out.dtype()) {
        (true, Dtype::Float32) => gradient_of::<f32, f32>,
        (true, _) => gradient_of::<f32, f64>,
        (false, _) => gradient_of::<f64, f64>,
    };
    let operands = Operands { x, dy: Some(dy) };
    let parts = view.for_each_part(keep_going, |view, keep_going| {
        let _environment = FloatingPointGuard::new();
        let channels = view.channels.clone();
        let given = statistics.map(|all| all.part(channels.clone()));
        let gamma = of_channels(gamma, channels);
        of(view, operands, given, &gamma, epsilon, out, keep_going)
    })?;
    let (gamma, beta): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    Ok((gamma.concat(), beta.concat()))
}

fn gradient_of<T: Sixteen, O: Sixteen>(
    view: &View,
    operands: Operands<'_>,
    given: Option<Statistics>,
    gamma: &[f64],
    epsilon: f64,
    out: &OperandMut<'_>,
    keep_going: &dyn Fn() -> bool,
) -> Result<(Vec<f64>, Vec<f64>), Interrupted> {
    let only_x = Operands {
        dy: None,
        ..operands
    };
    let channels = view.channels.len();
    let mut sums_dy = vec![f64::NAN; channels];
    // Of dy times the deviation.
    let mut sums_product = sums_dy.clone();
    let is_given = given.is_some();
    let statistics = match given {
        Some(given) => given,
        None if T::EXACT => Statistics::of_view::<T>(view, only_x, keep_going)?,
        None => {
            let [sums, squares, dy, products] =
                view.sums::<4, T, ValuesAndGradients>(operands, Means::NONE, keep_going)?;
            let own = Statistics::of_sums::<T>(view, only_x, sums, squares, keep_going)?;
            for (c, (dy, product)) in dy.into_iter().zip(products).enumerate() {
                sums_dy[c] = dy.0 + dy.1;
                sums_product[c] = (product.0 - own.mean[c] * dy.0) + product.1;
            }
            own
        }
    };
    if statistics.near.contains(&false) {
        let [dy, products] =
            view.sums::<2, T, Gradients>(operands, statistics.means(), keep_going)?;
        for (c, (dy, product)) in dy.into_iter().zip(products).enumerate() {
            if !statistics.near[c] {
                sums_dy[c] = dy.0 + dy.1;
                sums_product[c] = product.0 + product.1;
            }
        }
    }
    let scale = statistics.scale(epsilon);
    let factor = product(&scale, gamma);
    let canonical_all = |values: Vec<f64>| values.into_iter().map(canonical).collect();
    let gamma_gradient: Vec<f64> = canonical_all(product(&sums_product, &scale));
    let beta_gradient: Vec<f64> = canonical_all(sums_dy);
    if is_given {
        view.map::<1, T, O, ScaledGradient>(operands, &[factor], out, keep_going)?;
        return Ok((gamma_gradient, beta_gradient));
    }
    let n = view.of.samples as f64;
    // dx = factor (dy - mean(dy) - y mean(dy y)), where y = (x - mean) scale.
    let mut slope = vec![0.0; channels];
    let mut summand = vec![0.0; channels];
    for c in 0..channels {
        slope[c] = -(factor[c] * scale[c] * (gamma_gradient[c] / n));
        summand[c] = -(factor[c] * (beta_gradient[c] / n));
        if statistics.near[c] {
            summand[c] -= slope[c] * statistics.mean[c];
        }
    }
    if !statistics.near.contains(&false) && all_finite(&[&factor, &slope, &summand]) {
        view.map::<3, T, O, InputGradient>(operands, &[factor, slope, summand], out, keep_going)?;
    } else {
        let [high, low] = statistics.centres();
        let coefficients = [factor, slope, summand, high, low];
        view.map::<5, T, O, InputGradientAround>(operands, &coefficients, out, keep_going)?;
    }
    Ok((gamma_gradient, beta_gradient))
}

fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}
