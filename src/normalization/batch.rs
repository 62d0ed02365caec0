//! Batch normalisation: each channel to mean 0 and variance 1 over the samples of a batch (Ioffe and
//! Szegedy, "Batch Normalization", ICML 2015), or by statistics gathered before.
//!
//! Of `f32` the sums are first taken of the values as they are, in one pass and in `f64`, in which squares are
//! exact. Where more than eight bits of a channel's mean square cancel in its variance, as for values
//! far from 0, and for `f64` always, its squares are taken again of deviations from a mean in two parts. So no
//! variance is ever a difference of nearly equal numbers. The result, or gradient, is a second pass.

use super::channel_maps::Map;
use super::channel_sums::Means;
use super::channel_terms::{
    Gradients, SquaredDeviation, Value, ValueAndSquare, ValuesAndGradients,
};
pub use super::channel_totals::Statistics;
use super::channel_totals::{Totals, all_finite, product};
use super::channels::{Channels, View};
use super::sixteen::{Operands, Sixteen};
use super::sums::{canonical, is_narrow};
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::kernel::canonical_nan;
use crate::driver::operand::{Operand, OperandMut};
use crate::driver::threads::Interrupted;
use crate::dtype::Dtype;
use crate::lanes::{Lanes, Token};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use std::ops::Range;

impl Statistics {
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
        let sums = if T::EXACT {
            view.sums::<1, T, Value>(operands, Means::NONE, keep_going)?
        } else {
            view.sums::<2, T, ValueAndSquare>(operands, Means::NONE, keep_going)?
        };
        Self::of_totals::<T>(view, operands, &sums, !T::EXACT, keep_going)
    }

    /// From sums and, where they may serve, sums of squares.
    fn of_totals<T: Sixteen>(
        view: &View,
        operands: Operands<'_>,
        sums: &Totals,
        squares: bool,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Self, Interrupted> {
        let (level, samples) = (view.of.level, view.of.samples);
        let mut all = Self::of_sums(level, samples, sums, squares);
        if all.near.contains(&false) {
            let again = view.sums::<1, T, SquaredDeviation>(operands, all.means(), keep_going)?;
            all.deviate(level, samples, &again);
        }
        Ok(all.canonical())
    }

    fn means(&self) -> Means<'_> {
        Means {
            high: &self.mean,
            low: &self.mean_low,
        }
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
    statistics.shift(&mut summand, &factor);
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
            let sums = view.sums::<4, T, ValuesAndGradients>(operands, Means::NONE, keep_going)?;
            let own = Statistics::of_totals::<T>(view, only_x, &sums, true, keep_going)?;
            sums_dy = sums.rounded(2);
            let ([dy, _], [high, low]) = (sums.term(2), sums.term(3));
            for (c, product) in sums_product.iter_mut().enumerate() {
                *product = (high[c] - own.mean[c] * dy[c]) + low[c];
            }
            own
        }
    };
    if statistics.near.contains(&false) {
        let sums = view.sums::<2, T, Gradients>(operands, statistics.means(), keep_going)?;
        for (term, values) in [&mut sums_dy, &mut sums_product].into_iter().enumerate() {
            let again = sums.rounded(term).into_iter().zip(&statistics.near);
            for (value, (again, near)) in values.iter_mut().zip(again) {
                *value = if *near { *value } else { again };
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
    let share = |factor: &f64, sum: &f64| -(factor * (sum / n));
    let slope: Vec<f64> = (product(&factor, &scale).iter().zip(&gamma_gradient))
        .map(|(factor, sum)| share(factor, sum))
        .collect();
    let mut summand: Vec<f64> = (factor.iter().zip(&beta_gradient))
        .map(|(factor, sum)| share(factor, sum))
        .collect();
    statistics.shift(&mut summand, &slope);
    if !statistics.near.contains(&false) && all_finite(&[&factor, &slope, &summand]) {
        view.map::<3, T, O, InputGradient>(operands, &[factor, slope, summand], out, keep_going)?;
    } else {
        let [high, low] = statistics.centres();
        let coefficients = [factor, slope, summand, high, low];
        view.map::<5, T, O, InputGradientAround>(operands, &coefficients, out, keep_going)?;
    }
    Ok((gamma_gradient, beta_gradient))
}
