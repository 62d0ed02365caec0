//! Runs a kernel over many inputs and keeps the worst distance from the formula.

use super::format::{BFLOAT16, Distance, FLOAT16, FLOAT32, FLOAT64, Format, Rounding};
use super::formulas::{Formula, Terms};
use super::real::{Parts, Real};
use super::subject::{Quantity, evaluate};
use super::wide::Wide;
use actloss_rs::activation::{Definition, Parameter};
use actloss_rs::dtype::{Bf16, Dtype, F16, Storage};
use actloss_rs::level::Level;

/// An element type and its format.
pub trait Number: Storage {
    /// Where results are rounded to.
    const FORMAT: Format;
    /// The type, as the driver knows it.
    const DTYPE: Dtype;
    /// The largest bit pattern.
    const LAST: u64;
    /// The number with these bits.
    fn from_bits(bits: u64) -> Self;
}

macro_rules! number {
    ($type:ty, $format:expr, $dtype:ident, $last:expr, $from_bits:expr) => {
        impl Number for $type {
            const FORMAT: Format = $format;
            const DTYPE: Dtype = Dtype::$dtype;
            const LAST: u64 = $last as u64;

            fn from_bits(bits: u64) -> Self {
                $from_bits(bits as _)
            }
        }
    };
}
number!(f32, FLOAT32, Float32, u32::MAX, f32::from_bits);
number!(f64, FLOAT64, Float64, u64::MAX, f64::from_bits);
number!(F16, FLOAT16, Float16, u16::MAX, F16);
number!(Bf16, BFLOAT16, BFloat16, u16::MAX, Bf16);

/// The errors seen so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Inputs.
    pub count: u64,
    /// Results that are not the nearest number.
    pub wrong: u64,
    /// Results whose rounding the oracle cannot decide.
    pub undecided: u64,
    /// The largest error, in ulps.
    pub worst: f64,
    /// Where that is.
    pub at: f64,
}

impl Tally {
    fn add(&mut self, x: f64, distance: Distance) {
        self.count += 1;
        self.wrong += u64::from(distance.rounding == Rounding::Wrong);
        self.undecided += u64::from(distance.rounding == Rounding::Undecided);
        if distance.ulps > self.worst {
            (self.worst, self.at) = (distance.ulps, x);
        }
    }

    /// The errors of both.
    #[allow(dead_code, reason = "for the full sweep, on all cores")]
    pub fn merge(self, other: Self) -> Self {
        let worse = if other.worst > self.worst {
            other
        } else {
            self
        };
        Self {
            count: self.count + other.count,
            wrong: self.wrong + other.wrong,
            undecided: self.undecided + other.undecided,
            ..worse
        }
    }
}

/// Measures one quantity of an activation against its formula.
pub struct Oracle<'a> {
    formula: &'a Formula,
    quantity: Quantity,
    format: Format,
    parameters: Vec<f64>,
    wide_parameters: Vec<Wide>,
}

impl<'a> Oracle<'a> {
    /// For the formula with the parameters as the type `N` rounds them.
    pub fn new<N: Number>(
        formula: &'a Formula,
        quantity: Quantity,
        parameters: &[Parameter],
    ) -> Self {
        let parameters = parameters.iter();
        let parameters: Vec<f64> = parameters
            .map(|p| N::from_f64(p.default.unwrap_or(0.25)).to_f64())
            .collect();
        let wide_parameters = parameters.iter().map(|&p| Wide::from(p)).collect();
        Self {
            formula,
            quantity,
            format: N::FORMAT,
            parameters,
            wide_parameters,
        }
    }

    /// How far `result` is from the formula at `x`.
    pub fn distance(&self, x: f64, result: f64) -> Distance {
        if x.is_nan() && self.quantity == Quantity::Derivative {
            // Piecewise constant derivatives have no reason to be NaN there.
            return self.format.distance(
                0.0,
                Parts::new(0.0, 0.0, 0),
                Parts::new(0.0, 0.0, 0),
                0.0,
            );
        }
        if x.is_nan() {
            let nan = Parts::new(x, 0.0, 0);
            return self.format.distance(result, nan, nan, 0.0);
        }
        if x.is_finite() && self.format.precision <= FLOAT32.precision {
            let terms = match self.quantity {
                Quantity::Value => (self.formula.value.0(x, &self.parameters), 0.0),
                Quantity::Derivative => self.formula.derivative.0(x, &self.parameters),
            };
            // No power of a float32 in a formula is beyond f64: infinite is what overflows float32 too.
            let plain = (terms.1 == 0.0)
                .then(|| self.format.plain_distance(result, terms.0, f64::ERROR))
                .flatten();
            if let Some(distance) = plain {
                return distance;
            }
            let distance = self.distance_from(terms, result);
            if (terms.0 + terms.1).is_finite() && distance.rounding != Rounding::Undecided {
                return distance;
            }
        }
        let wide = Wide::from(x);
        let terms = match self.quantity {
            Quantity::Value => (
                self.formula.value.1(wide, &self.wide_parameters),
                Wide::from(0.0),
            ),
            Quantity::Derivative => self.formula.derivative.1(wide, &self.wide_parameters),
        };
        self.distance_from(terms, result)
    }

    fn distance_from<R: Real>(&self, (a, b): Terms<R>, result: f64) -> Distance {
        let sum = a + b;
        let scale = [a, b]
            .into_iter()
            .fold(sum.abs(), |m, t| if t.abs() > m { t.abs() } else { m });
        self.format
            .distance(result, sum.parts(), scale.parts(), R::ERROR)
    }
}

/// The errors of `activation` in the type `N` at the inputs with these bit patterns.
pub fn measure<N: Number>(
    level: Level,
    activation: &Definition,
    formula: &Formula,
    quantity: Quantity,
    bits: impl Iterator<Item = u64>,
) -> Tally {
    let oracle = Oracle::new::<N>(formula, quantity, activation.parameters);
    let mut tally = Tally::default();
    let mut bits = bits.peekable();
    while bits.peek().is_some() {
        let x: Vec<N> = bits.by_ref().take(4096).map(N::from_bits).collect();
        let y = evaluate(level, activation, quantity, N::DTYPE, &x);
        for (x, y) in x.iter().zip(&y) {
            tally.add(x.to_f64(), oracle.distance(x.to_f64(), y.to_f64()));
        }
    }
    tally
}

/// Bit patterns of `float64` inputs: every exponent with both signs, the range where functions bend,
/// and the neighbours of round numbers, where reductions and case distinctions change.
pub fn float64_sample(per_exponent: u64) -> impl Iterator<Item = u64> + Clone {
    let everywhere = (0..4096 * per_exponent).map(move |i| {
        let exponent = (i / per_exponent) << 52;
        exponent | scramble(i) >> 12
    });
    let bends = (0..2048 * per_exponent).map(|i| {
        let unit = (scramble(i) >> 11) as f64 * 2.0_f64.powi(-53);
        let width = [1.0, 4.0, 16.0, 45.0, 750.0][i as usize % 5];
        (width * (2.0 * unit - 1.0)).to_bits()
    });
    let neighbours = (-800..=800_i32).flat_map(|eighths| {
        let bits = (f64::from(eighths) / 8.0).to_bits();
        (0..7).map(move |step| (bits + step).saturating_sub(3))
    });
    let ends = [
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        f64::MAX,
        f64::MIN,
    ]
    .map(f64::to_bits);
    everywhere.chain(bends).chain(neighbours).chain(ends)
}

/// A fixed random number for `i` (the finaliser of `SplitMix64`).
fn scramble(i: u64) -> u64 {
    let z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
