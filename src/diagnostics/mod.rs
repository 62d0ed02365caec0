//! Statistics of an array in one pass: what tells a healthy layer from a dead, saturated or exploding one.
//!
//! Counts are integers and sums exact, so nothing depends on the order in which elements are taken. A
//! block is read once and looked at several times in the first-level cache.

mod magnitudes;

pub use magnitudes::{BINS, Magnitudes};

use crate::driver::operand::{BLOCK, Operand};
use crate::driver::rows::for_each_row_range;
use crate::driver::threads::Interrupted;
use crate::dtype::{Dtype, Real};
use crate::lanes::Token;
use crate::level::{Level, OnLevel};
use crate::reduction::exact::ExactSum;
use magnitudes::HasExponent;

/// What is known of an array's elements.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Number of elements.
    pub count: u64,
    /// Elements that are 0 or -0.
    pub zeros: u64,
    /// Elements that are NaN.
    pub nan: u64,
    /// Elements that are infinite.
    pub infinite: u64,
    /// Elements that are at most the lower or at least the upper bound.
    pub saturated: u64,
    /// Units with an element other than 0.
    pub live_units: u64,
    /// Number of units.
    pub units: u64,
    /// The smallest element, NaN left out.
    pub min: f64,
    /// The largest element, NaN left out.
    pub max: f64,
    /// The mean, rounded once.
    pub mean: f64,
    /// The square root of the mean square.
    pub rms: f64,
    /// How many elements have which sign and exponent.
    pub magnitudes: Option<Magnitudes>,
}

/// What to look for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The SIMD level.
    pub level: Level,
    /// Number of units: element `i` in C order belongs to unit `i % units`.
    pub units: usize,
    /// Elements at most the first or at least the second number are saturated.
    pub bounds: (f64, f64),
    /// Whether to count magnitudes.
    pub magnitudes: bool,
}

/// The statistics of `x`.
///
/// # Errors
/// [`Interrupted`] when `keep_going` said no.
pub fn statistics(
    request: &Request,
    x: &Operand<'_>,
    keep_going: &dyn Fn() -> bool,
) -> Result<Statistics, Interrupted> {
    match x.dtype() {
        Dtype::Float32 | Dtype::Float16 | Dtype::BFloat16 => run::<f32>(request, x, keep_going),
        _ => run::<f64>(request, x, keep_going),
    }
}

/// Elements after which the units begin anew: a multiple of their number, long enough for vectors.
fn period(units: usize) -> usize {
    units * (BLOCK / units.max(1)).max(1)
}

fn run<T: HasExponent>(
    request: &Request,
    x: &Operand<'_>,
    keep_going: &dyn Fn() -> bool,
) -> Result<Statistics, Interrupted> {
    let period = period(request.units);
    let init = || State::<T>::new(period, request.magnitudes);
    let pieces = if period == 0 {
        0
    } else {
        x.len().div_ceil(period)
    };
    let states = for_each_row_range(pieces, period, keep_going, init, |state, pieces| {
        for piece in pieces {
            let start = piece * period;
            let end = x.len().min(start + period);
            for first in (start..end).step_by(BLOCK) {
                request.level.dispatch(Block {
                    x,
                    first,
                    n: BLOCK.min(end - first),
                    unit: first - start,
                    bounds: request.bounds,
                    state,
                });
            }
        }
    })?;
    let mut states = states.into_iter();
    let mut all = states.next().unwrap_or_else(init);
    states.for_each(|state| all.merge(&state));
    Ok(all.finish(x.len(), request.units))
}

/// What a thread has seen.
struct State<T> {
    zeros: u64,
    nan: u64,
    infinite: u64,
    saturated: u64,
    min: f64,
    max: f64,
    sum: ExactSum,
    squares: ExactSum,
    /// Whether an element other than 0 was seen, for each place in a period.
    live: Vec<bool>,
    magnitudes: Option<Magnitudes>,
    buffer: Vec<T>,
    squared: Vec<f64>,
}

impl<T: HasExponent> State<T> {
    fn new(period: usize, magnitudes: bool) -> Self {
        Self {
            zeros: 0,
            nan: 0,
            infinite: 0,
            saturated: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: ExactSum::new(),
            squares: ExactSum::new(),
            live: vec![false; period],
            magnitudes: magnitudes.then(Magnitudes::new),
            buffer: vec![T::default(); BLOCK],
            squared: vec![0.0; BLOCK],
        }
    }

    fn merge(&mut self, other: &Self) {
        self.zeros += other.zeros;
        self.nan += other.nan;
        self.infinite += other.infinite;
        self.saturated += other.saturated;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        for (live, other) in self.live.iter_mut().zip(&other.live) {
            *live |= other;
        }
        if let (Some(all), Some(other)) = (&mut self.magnitudes, &other.magnitudes) {
            all.merge(other);
        }
    }

    fn finish(self, count: usize, units: usize) -> Statistics {
        let is_live = |unit| self.live.iter().skip(unit).step_by(units).any(|&live| live);
        let count = count as u64;
        // Adding 0 makes +0 of -0, whichever of the two came first.
        let (min, max) = if count > self.nan {
            (self.min + 0.0, self.max + 0.0)
        } else {
            (f64::NAN, f64::NAN)
        };
        Statistics {
            count,
            zeros: self.zeros,
            nan: self.nan,
            infinite: self.infinite,
            saturated: self.saturated,
            live_units: (0..units).filter(|&unit| is_live(unit)).count() as u64,
            units: units as u64,
            min,
            max,
            mean: self.sum.divide_by_count(count),
            rms: self.squares.divide_by_count(count).sqrt(),
            magnitudes: self.magnitudes,
        }
    }
}

struct Block<'a, T> {
    x: &'a Operand<'a>,
    first: usize,
    n: usize,
    /// Place of the first element in the period.
    unit: usize,
    bounds: (f64, f64),
    state: &'a mut State<T>,
}

/// Elements compared at a time.
const LANES: usize = 16;

impl<T: HasExponent> OnLevel for Block<'_, T> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        let state = self.state;
        let values = self.x.block(simd, self.first, self.n, &mut state.buffer);
        let squared = &mut state.squared[..self.n];
        let live = &mut state.live[self.unit..self.unit + self.n];
        let (low, high) = (T::nearest(self.bounds.0), T::nearest(self.bounds.1));
        simd.vectorize(
            #[inline(always)]
            || {
                let counts = count(values, low, high);
                state.zeros += u64::from(counts.zeros);
                state.nan += u64::from(counts.nan);
                state.infinite += u64::from(counts.infinite);
                state.saturated += u64::from(counts.saturated);
                state.min = state.min.min(counts.min.into());
                state.max = state.max.max(counts.max.into());
                for ((square, live), &value) in squared.iter_mut().zip(live).zip(values) {
                    let wide: f64 = value.into();
                    *square = wide * wide;
                    *live |= value != T::default();
                }
            },
        );
        T::add_to(&mut state.sum, simd, values);
        state.squares.add_f64_slice(simd, squared);
        if let Some(magnitudes) = &mut state.magnitudes {
            magnitudes.add(values);
        }
    }
}

struct Counts<T> {
    zeros: u32,
    nan: u32,
    infinite: u32,
    saturated: u32,
    min: T,
    max: T,
}

#[inline(always)]
fn count<T: Real>(values: &[T], low: T, high: T) -> Counts<T> {
    let (zero, infinity) = (T::default(), T::nearest(f64::INFINITY));
    let negative_infinity = T::nearest(f64::NEG_INFINITY);
    let mut min = [infinity; LANES];
    let mut max = [negative_infinity; LANES];
    let (mut zeros, mut nan, mut infinite, mut saturated) =
        ([0; LANES], [0; LANES], [0; LANES], [0; LANES]);
    let mut look = |k: usize, x: T| {
        zeros[k] += u32::from(x == zero);
        nan[k] += u32::from(x.partial_cmp(&x).is_none());
        infinite[k] += u32::from(x == infinity) + u32::from(x == negative_infinity);
        saturated[k] += u32::from(x <= low) | u32::from(x >= high);
        min[k] = if x < min[k] { x } else { min[k] };
        max[k] = if x > max[k] { x } else { max[k] };
    };
    let (whole, rest) = values.as_chunks::<LANES>();
    for chunk in whole {
        for (k, &x) in chunk.iter().enumerate() {
            look(k, x);
        }
    }
    for (k, &x) in rest.iter().enumerate() {
        look(k, x);
    }
    let smaller = |a: T, b: T| if b < a { b } else { a };
    let larger = |a: T, b: T| if b > a { b } else { a };
    Counts {
        zeros: zeros.iter().sum(),
        nan: nan.iter().sum(),
        infinite: infinite.iter().sum(),
        saturated: saturated.iter().sum(),
        min: min.into_iter().fold(infinity, smaller),
        max: max.into_iter().fold(negative_infinity, larger),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_counts_alike() {
        let units = 37;
        let x: Vec<f32> = (0..units * 2000)
            .map(|i| match i % units {
                unit if unit % 5 == 0 => 0.0,
                _ if i == 77 => f32::NAN,
                _ if i == 78 => f32::INFINITY,
                _ => (i % 1000) as f32 / 8.0 - 60.0,
            })
            .collect();
        for level in Level::available() {
            let request = Request {
                level,
                units,
                bounds: (-50.0, f64::INFINITY),
                magnitudes: true,
            };
            let found = statistics(&request, &Operand::from_slice(&x), &|| true).unwrap();
            assert_eq!((found.nan, found.infinite), (1, 1));
            let of = |test: fn(&f32) -> bool| x.iter().filter(|x| test(x)).count() as u64;
            assert_eq!(found.zeros, of(|x| *x == 0.0));
            assert_eq!(found.saturated, of(|x| *x <= -50.0 || *x == f32::INFINITY));
            assert_eq!(found.live_units, 29);
            assert_eq!((found.min, found.max), (-60.0, f64::INFINITY));
            assert!(found.mean.is_nan());
            let counts = found.magnitudes.unwrap().counts();
            assert_eq!(counts.iter().sum::<u64>(), x.len() as u64);
            // Exponent 127 is [1, 2).
            assert_eq!(counts[127], of(|x| (1.0..2.0).contains(x)));
            assert_eq!(counts[255], 2);
        }
    }
}
