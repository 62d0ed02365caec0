//! Infinities, NaN and zeros.

use super::{AddSlice, one_by_one, sum_f32, sum_f64};
use actloss_rs::level::Level;
use actloss_rs::reduction::exact::{BLOCK, ExactSum};

const INF: f64 = f64::INFINITY;

fn assert_same(result: f64, expected: f64) {
    // One NaN: positive and quiet.
    assert_eq!(
        result.to_bits(),
        expected.to_bits(),
        "{result} for {expected}"
    );
}

#[test]
fn infinities_and_nan_follow_ieee() {
    let cases: [(&[f64], f64); 9] = [
        (&[INF], INF),
        (&[-INF], -INF),
        (&[INF, 1.0, INF, -1e38], INF),
        (&[-INF, 1.0, -INF, 1e38], -INF),
        (&[INF, -INF], f64::NAN),
        (&[INF, -INF, INF], f64::NAN),
        (&[f64::NAN], f64::NAN),
        (&[-f64::NAN, 1.0, -INF], f64::NAN),
        (&[INF, 1.0, f64::NAN, INF], f64::NAN),
    ];
    for (values, expected) in cases {
        assert_same(one_by_one(values).to_f64(), expected);
        for level in Level::available() {
            // At every place in a slice of two blocks of other values.
            for place in [0, 1, 15, BLOCK - 5, BLOCK, BLOCK + 3, 2 * BLOCK] {
                let mut all = vec![0.25; 2 * BLOCK];
                all.splice(place..place, values.iter().copied());
                assert_same(sum_f64(level, &all).to_f64(), expected);
                let narrow: Vec<f32> = all.iter().map(|&value| value as f32).collect();
                assert_same(sum_f32(level, &narrow).to_f64(), expected);
            }
        }
    }
}

#[test]
fn special_states_are_equal_whatever_led_to_them() {
    let nan = one_by_one(&[f64::NAN]);
    for values in [
        &[INF, -INF][..],
        &[1.0, f64::NAN],
        &[f64::NAN, INF],
        &[-INF, 3.0, INF],
    ] {
        assert_eq!(one_by_one(values), nan);
        assert_eq!(one_by_one(values).to_bytes(), nan.to_bytes());
    }
    assert_eq!(one_by_one(&[INF, 2.0]), one_by_one(&[7.0, INF, INF]));
    assert_ne!(one_by_one(&[INF]), one_by_one(&[-INF]));
    assert_ne!(one_by_one(&[INF]), nan);
    assert_ne!(one_by_one(&[INF]), ExactSum::new());
    assert!(!nan.is_zero() && !one_by_one(&[INF]).is_zero());

    let mut merged = one_by_one(&[INF, 1.0]);
    merged.merge(&one_by_one(&[2.0]));
    assert_same(merged.to_f64(), INF);
    merged.merge(&one_by_one(&[-INF]));
    assert_same(merged.to_f64(), f64::NAN);
}

#[test]
fn zero_sums_are_positive_and_equal() {
    for values in [
        &[][..],
        &[-0.0],
        &[0.0, -0.0],
        &[3.5, -3.5],
        &[5e-324, -5e-324],
    ] {
        let sum = one_by_one(values);
        assert_same(sum.to_f64(), 0.0);
        assert!(sum.is_zero());
        assert_eq!(sum, ExactSum::default());
        assert_eq!(sum.to_bytes(), ExactSum::new().to_bytes());
    }
    assert!(!one_by_one(&[5e-324]).is_zero());
}

#[test]
fn debug_shows_the_value() {
    let mut sum = ExactSum::new();
    Level::available()[0].dispatch(AddSlice {
        sum: &mut sum,
        values: &[1.5_f32, 1.0],
    });
    assert_eq!(format!("{sum:?}"), "ExactSum(2.5)");
}
