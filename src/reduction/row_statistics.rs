//! What a row of logits `z` is reduced to: its maximum `m`, how often it occurs, and the sum of the
//! other `e^(z - m)`.
//!
//! With `k` the number of elements equal to `m` and `R` the sum over all others, the sum of all
//! exponentials is `k + R` and `log sum e^(z - m) = log1p((k - 1) + R)`. Kept apart from the 1 of the
//! maximum, `R` has all its digits however confident the row: logits `[40, 0, 0]` have the loss
//! `2 e^-40` to the last digit, where the logarithm of a sum gives 0.
//!
//! The difference `z - m` is carried with what rounding cuts off it, which would cost 16 ULP in the
//! exponential of ordinary logits. A row is read once: each block's exponentials are relative to the
//! largest element so far, and when a block raises it, the sums are rescaled.
//!
//! With a temperature `T` the exponentials are `e^((z - m) / T)`: the difference, which has no error, is
//! multiplied with `1 / T` in two parts, as dividing the logits first would round each.

use super::row_exponential::{cut, scaled_exponential, unscale};
use super::row_sums::{RowReal, Sums};
use crate::driver::operand::Operand;
use crate::driver::rows::{Row, for_each_vector, maximum, read_block};
use crate::dtype::Real;
use crate::lanes::{Lanes, Token};
use crate::math::log::log1p;
use crate::math::twofold::{constant, two_sum};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use std::ops::{Add, Div, Mul, Sub};

/// `1 / T` in two parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct InverseTemperature {
    pub(crate) high: f64,
    pub(crate) low: f64,
}

impl InverseTemperature {
    /// Of the temperature 1, which leaves logits as they are.
    pub(crate) const ONE: Self = Self {
        high: 1.0,
        low: 0.0,
    };

    /// Of a temperature that is a positive normal number.
    pub(crate) fn of(temperature: f64) -> Self {
        let high = 1.0 / temperature;
        let low = (-high).mul_add(temperature, 1.0) / temperature;
        Self { high, low }
    }

    /// `(difference + low) / T`, in two parts again.
    #[inline(always)]
    fn apply<S: Token, V: Lanes<S>>(self, simd: S, difference: V, low: V) -> (V, V) {
        let (scale, scale_low) = constant::<S, V>(simd, (self.high, self.low));
        let product = difference * scale;
        let error = difference.fma(scale, -product);
        (product, difference.fma(scale_low, low.fma(scale, error)))
    }
}

/// The statistics of the part of a row seen so far.
#[derive(Clone, Copy)]
pub(crate) struct RowSums<S: Token, T: RowReal> {
    simd: S,
    inverse_temperature: InverseTemperature,
    maximum: T,
    ties: u64,
    /// Of the exponentials of the others, scaled.
    rest: T::Sums<S>,
}

impl<S: Token, T: RowReal> RowSums<S, T> {
    /// Of no elements.
    #[inline(always)]
    pub(crate) fn new(simd: S, inverse_temperature: InverseTemperature) -> Self {
        Self {
            simd,
            inverse_temperature,
            maximum: T::nearest(f64::NEG_INFINITY),
            ties: 0,
            rest: Sums::zero(simd),
        }
    }

    /// The largest element so far: what the last block's exponentials are relative to.
    #[inline(always)]
    pub(crate) fn maximum(&self) -> T {
        self.maximum
    }

    /// Take in the next block. Its exponentials, scaled, go to `target`, which may be `block` itself.
    ///
    /// # Safety
    /// As for [`for_each_vector`].
    #[inline(always)]
    pub(crate) unsafe fn add_block(&mut self, block: *const T, n: usize, target: Option<*mut T>) {
        let tempered = self.inverse_temperature != InverseTemperature::ONE;
        // SAFETY: passed on.
        unsafe {
            match (target.is_some(), tempered) {
                (true, false) => add_block::<S, T, true, false>(self, block, n, target),
                (false, false) => add_block::<S, T, false, false>(self, block, n, None),
                (true, true) => add_block::<S, T, true, true>(self, block, n, target),
                (false, true) => add_block::<S, T, false, true>(self, block, n, None),
            }
        }
    }

    /// Make the sums relative to a larger maximum; the ties become ordinary terms.
    #[inline(never)]
    fn raise_maximum(&mut self, largest: T) {
        if self.maximum > T::nearest(f64::NEG_INFINITY) {
            let (high, low) = exponential_of_difference(
                self.simd,
                self.maximum,
                largest,
                self.inverse_temperature,
            );
            let scale = 1.0 / unscale(T::Vector::<S>::PRECISION);
            let ties = self.ties as f64 * scale;
            let rest = &mut self.rest;
            self.simd.vectorize(
                #[inline(always)]
                || rest.rescale(ties, unscale(53), high, low),
            );
        } else {
            // Only -inf so far, whose exponentials are 0 now, or NaN, which this keeps.
            self.rest.rescale(0.0, 1.0, 0.0, 0.0);
        }
        self.maximum = largest;
        self.ties = 0;
    }

    /// The row's statistics.
    #[inline(always)]
    pub(crate) fn finish(self) -> RowStatistics<T> {
        let unscale = unscale(T::Vector::<S>::PRECISION);
        let (rest, rest_low) = self.rest.total();
        RowStatistics {
            maximum: self.maximum,
            ties: self.ties as f64,
            rest: rest * unscale,
            rest_low: rest_low * unscale,
        }
    }
}

/// See [`RowSums::add_block`]. Compiled once for each level, type, whether to `KEEP` the exponentials and
/// whether the temperature is not 1, and called by all row functions: it is most of their code.
///
/// # Safety
/// As for [`for_each_vector`].
#[inline(never)]
unsafe fn add_block<S: Token, T: RowReal, const KEEP: bool, const TEMPERED: bool>(
    sums: &mut RowSums<S, T>,
    block: *const T,
    n: usize,
    target: Option<*mut T>,
) {
    let simd = sums.simd;
    simd.vectorize(
        #[inline(always)]
        || {
            let negative_infinity = T::nearest(f64::NEG_INFINITY);
            // SAFETY: passed on.
            let largest = unsafe { maximum(simd, block, n, negative_infinity) };
            if largest > sums.maximum {
                if sums.ties == 0 {
                    // Nothing to rescale but NaN, which stays.
                    sums.maximum = largest;
                } else {
                    sums.raise_maximum(largest);
                }
            }
            let exponentials = BlockExponentials::<S, T, TEMPERED>::new(
                simd,
                sums.maximum,
                sums.inverse_temperature,
            );
            let zero = exponentials.zero;
            let (mut ties, mut rest) = (0, sums.rest);
            // SAFETY: passed on. The result of a lane depends on its element alone.
            unsafe {
                for_each_vector(
                    simd,
                    [block],
                    if KEEP { target } else { None },
                    n,
                    negative_infinity,
                    #[inline(always)]
                    |[z], valid| {
                        let e = exponentials.of(z);
                        let (tied, summed) = match valid {
                            Some(valid) => (e.tie & valid, e.counted & valid),
                            None => (e.tie, e.counted),
                        };
                        ties += u64::from(tied.to_bitmask().count_ones());
                        rest.add(summed.select(e.head, zero), summed.select(e.tail, zero));
                        exponentials.rounded(&e)
                    },
                );
            }
            rest.end_block();
            sums.rest = rest;
            sums.ties += ties;
        },
    );
}

/// Write the scaled exponentials of a block relative to `maximum`, as [`RowSums::add_block`] does.
///
/// # Safety
/// As for [`for_each_vector`].
#[inline(never)]
pub(crate) unsafe fn exponentiate_block<S: Token, T: RowReal>(
    simd: S,
    (block, n): (*const T, usize),
    maximum: T,
    inverse_temperature: InverseTemperature,
    target: *mut T,
) {
    /// # Safety
    /// As for [`for_each_vector`].
    #[inline(always)]
    unsafe fn write<S: Token, T: RowReal, const TEMPERED: bool>(
        simd: S,
        exponentials: BlockExponentials<S, T, TEMPERED>,
        (block, n): (*const T, usize),
        target: *mut T,
    ) {
        // SAFETY: passed on.
        unsafe {
            for_each_vector(
                simd,
                [block],
                Some(target),
                n,
                T::default(),
                #[inline(always)]
                |[z], _| exponentials.rounded(&exponentials.of(z)),
            );
        }
    }
    simd.vectorize(
        #[inline(always)]
        || {
            // SAFETY: passed on.
            unsafe {
                if inverse_temperature == InverseTemperature::ONE {
                    let of =
                        BlockExponentials::<S, T, false>::new(simd, maximum, inverse_temperature);
                    write(simd, of, (block, n), target);
                } else {
                    let of =
                        BlockExponentials::<S, T, true>::new(simd, maximum, inverse_temperature);
                    write(simd, of, (block, n), target);
                }
            }
        },
    );
}

/// The exponentials of a block's elements relative to `maximum`.
#[derive(Clone, Copy)]
pub(crate) struct BlockExponentials<S: Token, T: RowReal, const TEMPERED: bool> {
    inverse_temperature: InverseTemperature,
    maximum: T::Vector<S>,
    at_maximum: T::Vector<S>,
    zero: T::Vector<S>,
}

impl<S: Token, T: RowReal, const TEMPERED: bool> BlockExponentials<S, T, TEMPERED> {
    #[inline(always)]
    pub(crate) fn new(simd: S, maximum: T, inverse_temperature: InverseTemperature) -> Self {
        let maximum = T::Vector::<S>::splat(simd, maximum);
        Self::of_maxima(simd, maximum, inverse_temperature)
    }

    /// Relative to a maximum of its own in each lane.
    #[inline(always)]
    pub(crate) fn of_maxima(
        simd: S,
        maximum: T::Vector<S>,
        inverse_temperature: InverseTemperature,
    ) -> Self {
        let precision = T::Vector::<S>::PRECISION;
        Self {
            inverse_temperature,
            maximum,
            at_maximum: T::Vector::<S>::lit(simd, 1.0 / unscale(precision)),
            zero: T::Vector::<S>::lit(simd, 0.0),
        }
    }

    /// The exponential of each element.
    #[inline(always)]
    pub(crate) fn of(self, z: T::Vector<S>) -> Exponential<S, T> {
        let simd = z.token();
        let tie = z.simd_eq(self.maximum);
        let (mut difference, mut low) = two_sum::<S, _>(z, -self.maximum);
        if TEMPERED {
            (difference, low) = self.inverse_temperature.apply(simd, difference, low);
        }
        // The NaN of equal infinities is a tie.
        let least = T::Vector::<S>::lit(simd, -cut(T::Vector::<S>::PRECISION));
        let counted = !(tie | difference.simd_le(least));
        let (head, tail) = scaled_exponential(simd, difference, low);
        Exponential {
            tie,
            counted,
            head,
            tail,
        }
    }

    /// The whole of it, scaled; of a tie 1, scaled.
    #[inline(always)]
    pub(crate) fn rounded(self, of: &Exponential<S, T>) -> T::Vector<S> {
        let rounded = of.counted.select(of.head + of.tail, self.zero);
        of.tie.select(self.at_maximum, rounded)
    }
}

/// The mask of a compute type's vector.
type Mask<S, T> = <<T as Real>::Vector<S> as SimdBase<S>>::Mask;

/// The scaled exponentials of a vector of elements.
pub(crate) struct Exponential<S: Token, T: RowReal> {
    /// Where the element is the maximum.
    pub(crate) tie: Mask<S, T>,
    /// Where `head + tail` is to be summed: not for ties, nor where it is as good as 0. For NaN it is.
    pub(crate) counted: Mask<S, T>,
    pub(crate) head: T::Vector<S>,
    pub(crate) tail: T::Vector<S>,
}

/// `e^((a - b) / T) 2^512` in two parts, 0 where the exponent is below -1000; `a < b`, `a` finite.
#[inline(never)]
pub(crate) fn exponential_of_difference<S: Token, T: RowReal>(
    simd: S,
    a: T,
    b: T,
    inverse_temperature: InverseTemperature,
) -> (f64, f64) {
    simd.vectorize(
        #[inline(always)]
        || {
            let a = f64x8::splat(simd, a.into());
            let b = f64x8::splat(simd, b.into());
            let (difference, low) = two_sum::<S, _>(a, -b);
            let (difference, low) = inverse_temperature.apply(simd, difference, low);
            let (head, tail) = scaled_exponential(simd, difference, low);
            if difference[0] <= -cut(53) {
                return (0.0, 0.0);
            }
            let high = head[0] + tail[0];
            (high, tail[0] - (high - head[0]))
        },
    )
}

/// A row's statistics: see the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowStatistics<T> {
    /// The largest element; `-inf` of an empty row.
    pub(crate) maximum: T,
    /// How many elements equal it.
    pub(crate) ties: f64,
    /// The sum of `e^(z - maximum)` over the others; NaN if an element is NaN.
    pub(crate) rest: f64,
    /// What rounding cut off `rest`.
    pub(crate) rest_low: f64,
}

impl<T: RowReal> RowStatistics<T> {
    /// Of a row of `x`.
    #[inline(always)]
    pub(crate) fn of<S: Token>(
        simd: S,
        x: &Operand<'_>,
        row: Row,
        inverse_temperature: InverseTemperature,
        buffer: &mut Vec<T>,
    ) -> Self {
        let mut sums = RowSums::<S, T>::new(simd, inverse_temperature);
        for (first, n) in row.blocks() {
            let block = read_block(simd, x, row.start + first, n, buffer);
            // SAFETY: `n` readable elements.
            unsafe { sums.add_block(block, n, None) };
        }
        sums.finish()
    }

    /// Whether the probabilities have a limit: no element is NaN, not all are `-inf`, `+inf` stands
    /// alone.
    #[inline(always)]
    pub(crate) fn has_probabilities(&self) -> bool {
        let maximum: f64 = self.maximum.into();
        !self.rest.is_nan()
            && maximum > f64::NEG_INFINITY
            && (maximum < f64::INFINITY || self.ties == 1.0)
    }

    /// `1 / (k + R)` in two parts.
    #[inline(always)]
    pub(crate) fn inverse(&self) -> (f64, f64) {
        inverse_of_sum(
            1.0,
            (self.ties, self.rest, self.rest_low),
            #[inline(always)]
            |x: f64| f64::from_bits(x.to_bits() & !0x7ff_ffff),
        )
    }
}

/// `1 / (k + R)` in two parts, of numbers or of lanes; `upper` keeps the upper 26 bits, so that products
/// of such halves are exact.
#[inline(always)]
pub(crate) fn inverse_of_sum<V>(
    one: V,
    (ties, rest, rest_low): (V, V, V),
    upper: impl Fn(V) -> V,
) -> (V, V)
where
    V: Copy + Add<Output = V> + Sub<Output = V> + Mul<Output = V> + Div<Output = V>,
{
    // k >= 1, but R may be the larger.
    let total = ties + rest;
    let rest_part = total - ties;
    let low = ((ties - (total - rest_part)) + (rest - rest_part)) + rest_low;
    let inverse = one / total;
    // The residual 1 - total * inverse, by an exact product of halves: no FMA outside lanes.
    let (total_upper, inverse_upper) = (upper(total), upper(inverse));
    let (total_lower, inverse_lower) = (total - total_upper, inverse - inverse_upper);
    let exact = ((one - total_upper * inverse_upper)
        - (total_upper * inverse_lower + total_lower * inverse_upper))
        - total_lower * inverse_lower;
    (inverse, (exact - low * inverse) * inverse)
}

/// [`RowStatistics::of`], for callers that are not compiled for a level.
#[inline(never)]
pub(crate) fn row_statistics<S: Token, T: RowReal>(
    simd: S,
    x: &Operand<'_>,
    row: Row,
    inverse_temperature: InverseTemperature,
    buffer: &mut Vec<T>,
) -> RowStatistics<T> {
    simd.vectorize(
        #[inline(always)]
        || RowStatistics::of(simd, x, row, inverse_temperature, buffer),
    )
}

/// `log1p((k - 1) + R)` of each row of a batch, in two parts.
pub(crate) struct LogSums<const N: usize> {
    pub(crate) high: [f64; N],
    pub(crate) low: [f64; N],
}

/// The log-sums of the first `n` rows.
#[inline(never)]
pub(crate) fn log_sums<S: Token, T: RowReal, const N: usize>(
    simd: S,
    rows: &[RowStatistics<T>; N],
    n: usize,
) -> LogSums<N> {
    simd.vectorize(
        #[inline(always)]
        || {
            let mut sums = LogSums {
                high: [0.0; N],
                low: [0.0; N],
            };
            let one = f64x8::splat(simd, 1.0);
            for first in (0..n).step_by(8) {
                let eight = &rows[first..];
                let ties = part(simd, eight, |row| row.ties) - one;
                let (others, error) = two_sum::<S, _>(ties, part(simd, eight, |row| row.rest));
                let low = error + part(simd, eight, |row| row.rest_low);
                let high = log1p(simd, others);
                let low = low / (one + others);
                for i in 0..8.min(n - first) {
                    sums.high[first + i] = high[i];
                    sums.low[first + i] = low[i];
                }
            }
            sums
        },
    )
}

/// One part of the statistics of eight rows.
#[inline(always)]
fn part<S: Token, T>(
    simd: S,
    rows: &[RowStatistics<T>],
    of: impl Fn(&RowStatistics<T>) -> f64,
) -> f64x8<S> {
    f64x8::from_fn(
        simd,
        #[inline(always)]
        |i| rows.get(i).map_or(0.0, &of),
    )
}
