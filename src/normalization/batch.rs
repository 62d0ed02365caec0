//! Batch normalisation: each channel to mean 0 and variance 1 over the samples of a batch (Ioffe and
//! Szegedy, "Batch Normalization", ICML 2015), or by statistics gathered before.
//!
//! The variance is the mean of the squared deviations from a mean in two parts: no difference of large
//! numbers, however far the values lie from 0. Three passes over the array: mean, variance, result; of
//! the second and third the array is often still in cache.

use super::channels::{Channels, Map, Moments, Terms};
use super::sums::canonical;
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::{Operand, OperandMut};
use crate::driver::threads::Interrupted;

/// Mean and variance of each channel.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    /// The mean.
    pub mean: Vec<f64>,
    /// What is missing to the mean.
    mean_low: Vec<f64>,
    /// The variance: of a batch the biased one, the mean of the squared deviations.
    pub variance: Vec<f64>,
}

impl Statistics {
    /// Statistics that were gathered before.
    #[must_use]
    pub fn given(mean: Vec<f64>, variance: Vec<f64>) -> Self {
        Self {
            mean_low: vec![0.0; mean.len()],
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
        let n = view.samples as f64;
        let mut moments = Moments::identity(view.channels);
        let [means] = view.sums::<1, Value>(x, None, &moments, n, keep_going)?;
        for (channel, (mean, low)) in means.into_iter().enumerate() {
            moments.mean[channel] = mean;
            moments.mean_low[channel] = low;
        }
        let [variances] = view.sums::<1, SquaredDeviation>(x, None, &moments, n, keep_going)?;
        let variance = variances.into_iter().map(|(high, low)| high + low);
        Ok(Self {
            variance: variance.map(canonical).collect(),
            mean: moments.mean.into_iter().map(canonical).collect(),
            mean_low: moments.mean_low,
        })
    }

    /// `1 / sqrt(variance + epsilon)` beside the means.
    fn moments(&self, epsilon: f64) -> Moments {
        let scale = |variance| 1.0 / f64::sqrt(variance + epsilon);
        Moments {
            mean: self.mean.clone(),
            mean_low: self.mean_low.clone(),
            scale: self.variance.iter().copied().map(scale).collect(),
        }
    }
}

struct Value;
impl Terms<1> for Value {
    #[inline(always)]
    fn of(x: f64, _dy: f64, _deviation: f64, _scale: f64) -> [f64; 1] {
        [x]
    }
}

struct SquaredDeviation;
impl Terms<1> for SquaredDeviation {
    #[inline(always)]
    fn of(_x: f64, _dy: f64, deviation: f64, _scale: f64) -> [f64; 1] {
        [deviation * deviation]
    }
}

/// `dy`, and `dy` times the normalised value.
struct Gradients;
impl Terms<2> for Gradients {
    #[inline(always)]
    fn of(_x: f64, dy: f64, deviation: f64, scale: f64) -> [f64; 2] {
        [dy, dy * (deviation * scale)]
    }
}

struct Normalised;
impl Map for Normalised {
    #[inline(always)]
    fn of(_dy: f64, deviation: f64, [scale, beta, ..]: [f64; 4]) -> f64 {
        canonical(deviation * scale + beta)
    }
}

/// Of fixed statistics.
struct ScaledGradient;
impl Map for ScaledGradient {
    #[inline(always)]
    fn of(dy: f64, _deviation: f64, [scale, ..]: [f64; 4]) -> f64 {
        canonical(scale * dy)
    }
}

/// Of statistics that change with the input.
struct InputGradient;
impl Map for InputGradient {
    #[inline(always)]
    fn of(dy: f64, deviation: f64, [scale, mean_dy, reciprocal, mean_product]: [f64; 4]) -> f64 {
        canonical(scale * ((dy - mean_dy) - (deviation * reciprocal) * mean_product))
    }
}

/// `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, channel by channel, to `out`, which is exactly
/// `x` or does not overlap it.
///
/// # Errors
/// [`Interrupted`] when `keep_going` said no.
pub fn normalise(
    view: &Channels,
    x: &Operand<'_>,
    statistics: &Statistics,
    (gamma, beta): (&[f64], &[f64]),
    epsilon: f64,
    out: &OperandMut<'_>,
    keep_going: &dyn Fn() -> bool,
) -> Result<(), Interrupted> {
    let _environment = FloatingPointGuard::new();
    let moments = statistics.moments(epsilon);
    let scale = product(&moments.scale, gamma);
    let unused = vec![0.0; view.channels];
    let coefficients = [scale, beta.to_vec(), unused.clone(), unused];
    view.map::<Normalised>(x, None, &moments, &coefficients, out, keep_going)
}

/// The gradient by `x`, to `out`, which is exactly `dy` or `x` or overlaps neither, and those by gamma
/// and beta. `of_batch`: whether the statistics are those of `x` itself, and so change with it.
///
/// # Errors
/// [`Interrupted`] when `keep_going` said no.
#[allow(clippy::too_many_arguments, reason = "the operands of one formula")]
pub fn gradient(
    view: &Channels,
    dy: &Operand<'_>,
    x: &Operand<'_>,
    (statistics, of_batch): (&Statistics, bool),
    gamma: &[f64],
    epsilon: f64,
    out: &OperandMut<'_>,
    keep_going: &dyn Fn() -> bool,
) -> Result<(Vec<f64>, Vec<f64>), Interrupted> {
    let _environment = FloatingPointGuard::new();
    let moments = statistics.moments(epsilon);
    let [sums_dy, sums_product] =
        view.sums::<2, Gradients>(x, Some(dy), &moments, 1.0, keep_going)?;
    let value = |(high, low): (f64, f64)| canonical(high + low);
    let beta: Vec<_> = sums_dy.into_iter().map(value).collect();
    let gamma_gradient: Vec<_> = sums_product.into_iter().map(value).collect();
    let n = view.samples as f64;
    let over = |sums: &[f64]| sums.iter().map(|sum| sum / n).collect();
    let coefficients = [
        product(&moments.scale, gamma),
        over(&beta),
        moments.scale.clone(),
        over(&gamma_gradient),
    ];
    if of_batch {
        view.map::<InputGradient>(x, Some(dy), &moments, &coefficients, out, keep_going)?;
    } else {
        view.map::<ScaledGradient>(x, Some(dy), &moments, &coefficients, out, keep_going)?;
    }
    Ok((gamma_gradient, beta))
}

fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}
