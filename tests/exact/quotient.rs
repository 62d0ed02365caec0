//! `exact_quotient` and `divide_by_count`.

use super::one_by_one;
use super::reference::{Random, assert_nearest_quotient, exact_units};
use actloss_rs::reduction::exact::{ExactSum, exact_quotient};
use num_bigint::BigInt;
use proptest::prelude::*;

const INF: f64 = f64::INFINITY;
const TINY: f64 = 5e-324;

fn check(numerator: &[f64], denominator: &[f64]) -> f64 {
    let result = exact_quotient(&one_by_one(numerator), &one_by_one(denominator));
    assert_nearest_quotient(result, &exact_units(numerator), &exact_units(denominator));
    result
}

#[test]
fn random_sums() {
    let mut random = Random(11);
    for round in 0..20_000 {
        let mut sum = |spread: i32, places: i32| -> Vec<f64> {
            let exponent = random.below(places as usize) as i32 - places / 2;
            (0..=random.below(6))
                .map(|_| random.float(exponent - spread..=exponent + spread))
                .collect()
        };
        // Normal, subnormal and overflowing ratios of few and many limbs.
        let (spread, places) = [(1, 1), (10, 100), (100, 1800), (3, 2000)][round % 4];
        check(&sum(spread, places), &sum(spread, places));
    }
}

#[test]
fn ties_go_to_even() {
    let odd = 9007199254740993.0_f64; // not representable: rounds to 2^53
    assert_eq!(odd, 9007199254740992.0);
    // (2^53 + 1) / 1, and the same with something beyond the 64 bits of the quotient.
    assert_eq!(
        check(&[9007199254740992.0, 1.0], &[1.0]),
        9007199254740992.0
    );
    assert_eq!(
        check(&[9007199254740992.0, 3.0], &[1.0]),
        9007199254740996.0
    );
    assert_eq!(
        check(&[9007199254740992.0, 1.0, TINY], &[1.0]),
        9007199254740994.0
    );
    assert_eq!(
        check(&[9007199254740992.0, 1.0, -TINY], &[1.0]),
        9007199254740992.0
    );
    assert_eq!(
        check(&[9007199254740992.0, 1.0], &[1.0, TINY]),
        9007199254740992.0
    );
    assert_eq!(
        check(&[9007199254740992.0, 1.0], &[1.0, -TINY]),
        9007199254740994.0
    );
    assert_eq!(
        check(&[9007199254740992.0, 1.0], &[3.0]),
        3002399751580331.0
    );
}

#[test]
fn subnormal_results() {
    assert_eq!(check(&[TINY], &[2.0]), 0.0);
    assert_eq!(check(&[TINY, TINY, TINY], &[2.0]), 2.0 * TINY);
    assert_eq!(check(&[5.0 * TINY], &[2.0]), 2.0 * TINY);
    assert_eq!(check(&[TINY], &[2.0, -TINY]), TINY);
    assert_eq!(check(&[-TINY], &[2.0]).to_bits(), (-0.0_f64).to_bits());
    assert_eq!(check(&[TINY], &[3.0]), 0.0);
    assert_eq!(check(&[TINY], &[1e300]), 0.0);
    assert_eq!(check(&[-TINY], &[-f64::MAX]), 0.0);
    // Between the largest subnormal and the smallest normal number.
    assert_eq!(
        check(&[2.0 * f64::MIN_POSITIVE, -TINY], &[2.0]),
        f64::MIN_POSITIVE
    );
    let mut random = Random(12);
    for _ in 0..5000 {
        let numerator: Vec<f64> = (0..4).map(|_| random.float(-1022..=-1000)).collect();
        check(&numerator, &[random.float(0..=60), random.float(0..=60)]);
    }
}

#[test]
fn overflowing_results() {
    assert_eq!(check(&[f64::MAX], &[0.5]), INF);
    assert_eq!(check(&[f64::MAX, f64::MAX], &[-1.0]), -INF);
    assert_eq!(check(&[1.0], &[TINY]), INF);
    assert_eq!(check(&[f64::MAX, f64::MAX], &[2.0]), f64::MAX);
    // Both sides of the midpoint between the largest float64 and 2^1024.
    assert_eq!(check(&[f64::MAX, 2f64.powi(970)], &[1.0]), INF);
    assert_eq!(check(&[f64::MAX, 2f64.powi(970)], &[1.0, TINY]), f64::MAX);
}

#[test]
fn specials() {
    let quotient = |a: &[f64], b: &[f64]| exact_quotient(&one_by_one(a), &one_by_one(b));
    for numerator in [&[][..], &[1.0], &[-1.0], &[INF], &[-INF], &[f64::NAN]] {
        assert!(quotient(numerator, &[]).is_nan());
        assert!(quotient(numerator, &[1.0, -1.0]).is_nan());
        assert!(quotient(numerator, &[f64::NAN]).is_nan());
        assert!(quotient(&[f64::NAN], &[1.0]).is_nan());
    }
    // Otherwise as IEEE divides; a zero sum is positive.
    for a in [0.0, 1.0, -1.0, INF, -INF] {
        for b in [1.0, -2.0, INF, -INF] {
            let (result, ieee) = (quotient(&[a], &[b]), a / b);
            if ieee.is_nan() {
                assert!(result.is_nan(), "{a} / {b}");
            } else if a == 0.0 && b == -2.0 {
                // An exact zero has no sign, as Fraction(0) has none.
                assert_eq!(result.to_bits(), 0);
            } else {
                assert_eq!(result.to_bits(), ieee.to_bits(), "{a} / {b}");
            }
        }
    }
    // A finite sum that is too large for float64 is finite all the same.
    assert_eq!(quotient(&[f64::MAX, f64::MAX], &[INF]), 0.0);
    assert_eq!(quotient(&[INF], &[-f64::MAX, -f64::MAX]), -INF);
}

#[test]
fn counts() {
    assert_eq!(ExactSum::from(3), one_by_one(&[1.0, 1.0, 1.0]));
    assert_eq!(ExactSum::from(0), ExactSum::new());
    assert_eq!(ExactSum::from(u64::MAX).to_f64(), 2f64.powi(64));
    assert!(one_by_one(&[1.0]).divide_by_count(0).is_nan());
    assert!(ExactSum::new().divide_by_count(0).is_nan());
    let mut random = Random(13);
    for _ in 0..5000 {
        let values: Vec<f64> = (0..10).map(|_| random.float(-30..=30)).collect();
        let count = random.bits() >> random.below(64);
        if count != 0 {
            let result = one_by_one(&values).divide_by_count(count);
            let denominator = BigInt::from(count) << 1074;
            assert_nearest_quotient(result, &exact_units(&values), &denominator);
        }
    }
}

proptest! {
    #[test]
    fn any_quotient_is_rounded_once(
        numerator in prop::collection::vec(any::<f64>(), 1..8),
        denominator in prop::collection::vec(any::<f64>(), 1..8),
    ) {
        let finite = |values: &[f64]| -> Vec<f64> {
            values.iter().copied().filter(|value| value.is_finite()).collect()
        };
        let (numerator, denominator) = (finite(&numerator), finite(&denominator));
        if one_by_one(&denominator).is_zero() {
            return Ok(());
        }
        check(&numerator, &denominator);
    }

    /// A multiple over its factor is the other factor, whatever the limbs.
    #[test]
    fn exact_quotients_are_exact(value in -1e100..1e100, weight in 1_u64..1 << 40) {
        let mut numerator = ExactSum::new();
        for bit in 0..40 {
            if weight >> bit & 1 == 1 {
                numerator.add(value * 2f64.powi(bit));
            }
        }
        prop_assert_eq!(numerator.divide_by_count(weight), value);
    }
}
