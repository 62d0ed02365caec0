//! Statistics of an array in one pass: what tells a healthy layer from a dead, saturated or exploding one.
//!
//! Counts are integers; sums are taken in `f64`, in fixed lanes over blocks of a fixed size, and the blocks'
//! sums exactly, so nothing depends on the order in which blocks are taken, hence on threads. A block that has
//! numbers only, as nearly all have, is read once (`finite.rs`); what is not finite, and the rest of its
//! block with it, is looked at closely.

mod finite;
mod magnitudes;

pub use magnitudes::{BINS, Magnitudes};

use crate::driver::operand::Operand;
use crate::driver::rows::for_each_row_range;
use crate::driver::threads::Interrupted;
use crate::dtype::Dtype;
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
    /// The mean, to within 1e-13 of the mean magnitude.
    pub mean: f64,
    /// The square root of the mean square, to within 1e-13 of itself.
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

/// Elements of a block at most: enough for what is done once a block to be little, few enough to stay in
/// the first-level cache.
const BLOCK: usize = 4096;

/// Elements after which the units begin anew: a multiple of their number, long enough for vectors, and
/// whole ones where that is not too long.
fn period(units: usize) -> usize {
    let whole = units
        << (LANES
            .trailing_zeros()
            .saturating_sub(units.trailing_zeros()));
    let shortest = if whole <= BLOCK { whole } else { units };
    shortest * (BLOCK / 4 / shortest.max(1)).max(1)
}

fn run<T: HasExponent>(
    request: &Request,
    x: &Operand<'_>,
    keep_going: &dyn Fn() -> bool,
) -> Result<Statistics, Interrupted> {
    let period = period(request.units);
    // Short periods share a block, long ones have several.
    let piece = period * (BLOCK / period.max(1)).max(1);
    let block = if period <= BLOCK { piece } else { BLOCK };
    let init = || State::<T>::new(period, request.magnitudes);
    let pieces = if period == 0 {
        0
    } else {
        x.len().div_ceil(piece)
    };
    let states = for_each_row_range(pieces, piece, keep_going, init, |state, pieces| {
        for start in pieces.map(|index| index * piece) {
            let end = x.len().min(start + piece);
            for first in (start..end).step_by(block) {
                request.level.dispatch(Block {
                    x,
                    first,
                    n: block.min(end - first),
                    unit: if period <= BLOCK { 0 } else { first - start },
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
    /// The bits of all elements seen, for each place in a period: 0 or -0 if there was nothing else.
    live: Vec<T>,
    magnitudes: Option<Magnitudes>,
    buffer: Vec<T>,
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
            live: vec![T::default(); period],
            magnitudes: magnitudes.then(Magnitudes::new),
            buffer: Vec::new(),
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
            *live = live.union(*other);
        }
        if let (Some(all), Some(other)) = (&mut self.magnitudes, &other.magnitudes) {
            all.merge(other);
        }
    }

    fn finish(self, count: usize, units: usize) -> Statistics {
        let is_live = |unit| {
            let mut places = self.live.iter().skip(unit).step_by(units);
            places.any(|&live| live != T::default())
        };
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
        let mut buffer = std::mem::take(&mut state.buffer);
        let values = if let Some(values) = self.x.as_slice(self.first, self.n) {
            values
        } else {
            buffer.resize(BLOCK, T::default());
            self.x.block(simd, self.first, self.n, &mut buffer)
        };
        let live = &mut state.live[self.unit..];
        let found = finite::look(simd, values, live);
        state.zeros += found.zeros;
        if found.squares.is_finite() {
            state.sum.add(found.sum);
            state.squares.add(found.squares);
            state.min = state.min.min(found.min.into());
            state.max = state.max.max(found.max.into());
            let (low, high) = self.bounds;
            if found.min.into() <= low || found.max.into() >= high {
                let (low, high) = (T::nearest(low), T::nearest(high));
                state.saturated += finite::saturated(simd, values, low, high);
            }
        } else {
            state.look_closely(values, self.bounds);
        }
        if let Some(magnitudes) = &mut state.magnitudes {
            magnitudes.add(values);
        }
        state.buffer = buffer;
    }
}

impl<T: HasExponent> State<T> {
    /// All but zeros and live units of a block that has infinities or NaN, or `f64` too large to be squared.
    #[cold]
    #[inline(never)]
    fn look_closely(&mut self, values: &[T], (low, high): (f64, f64)) {
        let (low, high) = (T::nearest(low), T::nearest(high));
        for &value in values {
            self.saturated += u64::from(value <= low || value >= high);
            let wide: f64 = value.into();
            self.nan += u64::from(wide.is_nan());
            self.infinite += u64::from(wide.is_infinite());
            // NaN is neither smaller nor larger.
            self.min = if wide < self.min { wide } else { self.min };
            self.max = if wide > self.max { wide } else { self.max };
            self.sum.add(wide);
            self.squares.add(wide * wide);
        }
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
