//! The reference: big integers, and rounding checked by its definition.

use num_bigint::{BigInt, Sign};

/// A reproducible stream of random bits (`SplitMix64`, by Steele, Lea and Flood).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }

    /// A float64 of random sign and fraction, its exponent among `exponents`.
    pub(crate) fn float(&mut self, exponents: std::ops::RangeInclusive<i32>) -> f64 {
        let count = exponents.end() - exponents.start() + 1;
        let biased = exponents.start() + self.below(count as usize) as i32 + 1023;
        assert!((0..2047).contains(&biased));
        f64::from_bits(self.bits() >> 12 | (biased as u64) << 52 | self.bits() << 63)
    }

    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i + 1));
        }
    }
}

/// A finite value in units of 2^-1074, of which every float64 is a multiple.
pub(crate) fn units(value: f64) -> BigInt {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let magnitude = match (bits >> 52) & 0x7ff {
        0 => BigInt::from(fraction),
        0x7ff => panic!("{value} has no value in units"),
        biased => BigInt::from(fraction | 1 << 52) << (biased - 1),
    };
    if value.is_sign_negative() {
        -magnitude
    } else {
        magnitude
    }
}

/// The exact sum, in units of 2^-1074.
pub(crate) fn exact_units(values: &[f64]) -> BigInt {
    values.iter().map(|&value| units(value)).sum()
}

/// Panic unless `result` is the float64 nearest to `numerator / denominator`, ties to even.
///
/// Infinity stands for 2^1024, the next after the largest float64, as it does in IEEE rounding.
pub(crate) fn assert_nearest_quotient(result: f64, numerator: &BigInt, denominator: &BigInt) {
    assert!(!result.is_nan(), "NaN for {numerator} / {denominator}");
    let value = |candidate: f64| match candidate {
        f64::INFINITY => BigInt::from(1) << (1024 + 1074),
        f64::NEG_INFINITY => BigInt::from(-1) << (1024 + 1074),
        finite => units(finite),
    };
    // Times the denominator and 2^1074, so that all is integer.
    let exact: BigInt = numerator << 1074;
    let distance = |candidate: f64| (value(candidate) * denominator - &exact).into_parts().1;
    let here = distance(result);
    for neighbour in [result.next_down(), result.next_up()] {
        let there = distance(neighbour);
        let even = result.to_bits().is_multiple_of(2);
        assert!(
            neighbour == result || here < there || (here == there && even),
            "{neighbour:e} is nearer than {result:e} or as near and even"
        );
    }
    let negative = numerator.sign() != Sign::NoSign && numerator.sign() != denominator.sign();
    assert_eq!(result.is_sign_negative(), negative, "sign of {result:e}");
}

/// Panic unless `result` is the float64 nearest to a sum in units of 2^-1074.
pub(crate) fn assert_nearest(result: f64, units: &BigInt) {
    assert_nearest_quotient(result, units, &(BigInt::from(1) << 1074));
}
