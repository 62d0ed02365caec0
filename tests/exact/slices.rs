//! Finite values: slices of many kinds, lengths, levels, splits and orders.

use super::reference::{Random, assert_nearest, exact_units};
use super::{AddSlice, one_by_one, sum_f32, sum_f64};
use actloss_rs::lanes::Token;
use actloss_rs::level::{Level, OnLevel};
use actloss_rs::reduction::exact::{Assumed, BLOCK, ExactSum, Window};
use fearless_simd::f32x16;
use fearless_simd::prelude::*;
use num_bigint::BigInt;
use proptest::prelude::*;

/// Lengths about the lanes, the step, the block, and long.
const LENGTHS: [usize; 19] = [
    0, 1, 2, 7, 8, 15, 16, 17, 31, 33, 511, 2047, 2048, 2049, 2063, 4096, 4101, 10_000, 70_001,
];

/// A kind of data: its name and the i-th value.
type Kind<T> = (&'static str, fn(&mut Random, usize) -> T);

/// Exponent `low` for most values and `high` now and then: the edges of what some bins can hold.
fn edges(random: &mut Random, low: i32, high: i32) -> f64 {
    let exponent = if random.below(64) == 0 { high } else { low };
    random.float(exponent..=exponent)
}

/// Nearly `2^(exponent + 1)`, the last bits random: the sum of a block of those is as large as it
/// gets, and odd in the last place of its bin.
fn full(random: &mut Random, exponent: i32) -> f64 {
    let fraction = (1 << 52) - 1 - (random.bits() & 0xffff);
    f64::from_bits(((exponent + 1023) as u64) << 52 | fraction)
}

/// `2^exponent` and nearly half a step of `2^grid` more, for which the last bits are random: what
/// remains after that grid is as large as it gets. Now and then 1, from which the grids hang.
fn full_remainder(random: &mut Random, i: usize, exponent: i32, grid: i32) -> f64 {
    if i % 1000 == 500 {
        return 1.0;
    }
    let half_step = 1 << (grid - 1 - (exponent - 52));
    let fraction = half_step - 1 - (random.bits() & 0xffff);
    f64::from_bits(((exponent + 1023) as u64) << 52 | fraction)
}

/// As [`full_remainder`] for `f32`, where it takes two kinds of values: most just below half a step
/// of `2^grid`, and some with the last bit at `2^lowest`.
fn full_mixture(random: &mut Random, i: usize, grid: i32, lowest: i32) -> f32 {
    match i % 1000 {
        500 => 1.0,
        501 => (random.below(1 << 24) | 1 << 23) as f32 * 2f32.powi(lowest),
        _ => (2f32 - f32::EPSILON) * 2f32.powi(grid - 2),
    }
}

const SINGLE: &[Kind<f32>] = &[
    ("losses", |r, _| r.float(-40..=4).abs() as f32),
    ("both signs", |r, _| r.float(-20..=0) as f32),
    ("bit patterns", |r, _| {
        let value = f32::from_bits(r.bits() as u32);
        if value.is_finite() { value } else { 1.5 }
    }),
    ("ones", |_, _| 1.0),
    ("negative", |r, _| -(r.float(-10..=10).abs() as f32)),
    ("subnormal", |r, _| {
        f32::from_bits(r.bits() as u32 & 0x807f_ffff)
    }),
    ("small", |r, _| r.float(-149..=-110) as f32),
    ("large", |r, _| r.float(113..=126) as f32),
    ("largest", |_, _| f32::MAX),
    ("sparse", |r, i| {
        if i.is_multiple_of(97) {
            r.float(-3..=3) as f32
        } else {
            0.0
        }
    }),
    ("zeros", |_, i| if i.is_multiple_of(3) { -0.0 } else { 0.0 }),
    ("cancelling", |r, i| {
        // Pairs of opposite values, and a small one here and there.
        let pair = Random(i as u64 / 2).float(20..=40) as f32;
        match i % 101 {
            100 => r.float(-40..=-30) as f32,
            _ if i.is_multiple_of(2) => pair,
            _ => -pair,
        }
    }),
    (
        "alternating",
        |_, i| if i.is_multiple_of(2) { 1.0 } else { -1.0 },
    ),
    ("a bin and rests, just", |r, _| edges(r, -37, 0) as f32),
    ("2 bins, at least", |r, _| edges(r, -38, 0) as f32),
    ("least bin", |r, _| r.float(-108..=-86) as f32),
    ("below the least bin", |r, _| r.float(-126..=-87) as f32),
    ("greatest bin", |r, _| edges(r, 80, 113) as f32),
    ("above the greatest bin", |r, _| edges(r, 81, 114) as f32),
    ("full rests", |r, i| full_mixture(r, i, -9, -56)),
    ("full rests, on the second try", |r, i| {
        full_mixture(r, i, -13, -60)
    }),
    ("full rests, and more", |r, i| full_mixture(r, i, -13, -61)),
    ("full bin", |_, _| 2f32.next_down()),
    ("full bin, above", |_, _| 4f32.next_down()),
    ("2 bins, just", |r, _| edges(r, -61, 0) as f32),
    ("3 bins, at least", |r, _| edges(r, -62, 0) as f32),
    ("3 bins, just", |r, _| edges(r, -94, 10) as f32),
    ("4 bins, at least", |r, _| edges(r, -95, 10) as f32),
    ("4 bins, just", |r, _| edges(r, -97, 50) as f32),
    ("5 bins", |r, _| edges(r, -98, 50) as f32),
    ("full 1", |r, _| full(r, 0) as f32),
    ("full 2, just", |r, i| full_mixture(r, i, -41, -84)),
    ("full 3, at least", |r, i| full_mixture(r, i, -41, -85)),
    ("full 3, just", |r, i| full_mixture(r, i, -84, -127)),
    ("full 4, at least", |r, i| full_mixture(r, i, -84, -128)),
];

const DOUBLE: &[Kind<f64>] = &[
    ("losses", |r, _| r.float(-30..=4).abs()),
    ("both signs", |r, _| r.float(-20..=0)),
    ("bit patterns", |r, _| {
        let value = f64::from_bits(r.bits());
        if value.is_finite() { value } else { 1.5 }
    }),
    ("ones", |_, _| 1.0),
    ("negative", |r, _| -r.float(-10..=10).abs()),
    ("subnormal", |r, _| {
        f64::from_bits(r.bits() & 0x800f_ffff_ffff_ffff)
    }),
    ("smallest", |r, _| {
        f64::from_bits(r.bits() & 0x8000_0000_0000_0001)
    }),
    ("small", |r, _| r.float(-1022..=-960)),
    ("close to the last unit", |r, _| r.float(-1000..=-980)),
    ("large", |r, _| r.float(1005..=1013)),
    ("larger", |r, _| r.float(1011..=1023)),
    ("largest", |_, _| f64::MAX),
    ("largest in lanes", |_, _| 2f64.powi(1012).next_down()),
    ("too large for lanes", |_, _| 2f64.powi(1013).next_down()),
    ("sparse", |r, i| {
        if i.is_multiple_of(97) {
            r.float(-3..=3)
        } else {
            0.0
        }
    }),
    ("sparse and tiny", |_, i| {
        if i.is_multiple_of(97) { 5e-324 } else { 0.0 }
    }),
    ("zeros", |_, i| if i.is_multiple_of(3) { -0.0 } else { 0.0 }),
    ("cancelling", |r, i| {
        let pair = Random(i as u64 / 2).float(20..=60);
        match i % 101 {
            100 => r.float(-40..=-30),
            _ if i.is_multiple_of(2) => pair,
            _ => -pair,
        }
    }),
    (
        "alternating",
        |_, i| if i.is_multiple_of(2) { 1.0 } else { -1.0 },
    ),
    ("2 bins, just", |r, _| edges(r, -32, 0)),
    ("3 bins, at least", |r, _| edges(r, -33, 0)),
    ("3 bins, just", |r, _| edges(r, -65, 10)),
    ("4 bins, at least", |r, _| edges(r, -66, 10)),
    ("4 bins, just", |r, _| edges(r, -68, 50)),
    ("5 bins", |r, _| edges(r, -69, 50)),
    ("full 1", |r, _| full(r, 0)),
    (
        "full 2",
        |r, i| if i % 1000 == 500 { 1.0 } else { full(r, -43) },
    ),
    (
        "full 3",
        |r, i| if i % 1000 == 500 { 1.0 } else { full(r, -86) },
    ),
    ("full 2, just", |r, i| full_remainder(r, i, -32, -41)),
    ("full 3, at least", |r, i| full_remainder(r, i, -33, -41)),
    ("full 3, just", |r, i| full_remainder(r, i, -75, -84)),
    ("full 4, at least", |r, i| full_remainder(r, i, -76, -84)),
    ("full 4, just", |r, i| full_remainder(r, i, -118, -127)),
    ("full 5", |r, i| full_remainder(r, i, -119, -127)),
];

/// The state after `values`, checked, and the same from every level as one by one.
fn check<T: Copy + Into<f64>>(name: &str, values: &[T], sum: fn(Level, &[T]) -> ExactSum) {
    let wide: Vec<f64> = values.iter().map(|&value| value.into()).collect();
    let expected = one_by_one(&wide);
    assert_nearest(expected.to_f64(), &exact_units(&wide));
    for level in Level::available() {
        let length = values.len();
        assert!(
            sum(level, values) == expected,
            "{name}, {length} values, {}",
            level.name()
        );
    }
}

#[test]
fn f32_slices_of_every_kind() {
    for (seed, (name, value)) in SINGLE.iter().enumerate() {
        for length in LENGTHS {
            let mut random = Random((seed * 100_000 + length) as u64);
            let values: Vec<f32> = (0..length).map(|i| value(&mut random, i)).collect();
            check(name, &values, sum_f32);
        }
    }
}

#[test]
fn f64_slices_of_every_kind() {
    for (seed, (name, value)) in DOUBLE.iter().enumerate() {
        for length in LENGTHS {
            let mut random = Random((seed * 100_000 + length) as u64 + 77);
            let values: Vec<f64> = (0..length).map(|i| value(&mut random, i)).collect();
            check(name, &values, sum_f64);
        }
    }
}

/// Values that are computed where they are added: blocks of them, and how many did fit.
struct Computed<'a>(&'a [f32]);

impl OnLevel for Computed<'_> {
    type Output = (ExactSum, usize);
    fn run<S: Token>(self, simd: S) -> Self::Output {
        let (mut sum, mut window, mut fitted) = (ExactSum::new(), Window::ORDINARY, 0);
        for block in self.0.chunks(BLOCK) {
            let mut assumed = Assumed::new(simd, window);
            for vector in block.chunks(16) {
                let mut lanes = [0.0; 16];
                lanes[..vector.len()].copy_from_slice(vector);
                assumed.add(simd, f32x16::load_array_ref(simd, &lanes));
            }
            if assumed.finish(simd, &mut sum, &mut window) {
                fitted += 1;
            } else {
                sum.add_f32_slice(simd, block);
            }
        }
        (sum, fitted)
    }
}

#[test]
fn what_fits_beside_a_loop_is_exact() {
    for (seed, (name, value)) in SINGLE.iter().enumerate() {
        let mut random = Random(seed as u64 + 99);
        let values: Vec<f32> = (0..5 * BLOCK + 100)
            .map(|i| value(&mut random, i).abs())
            .collect();
        let expected = sum_f32(Level::available()[0], &values);
        for level in Level::available() {
            let (sum, fitted) = level.dispatch(Computed(&values));
            assert!(sum == expected, "{name}, {}", level.name());
            // All but the first one, whose size was not known.
            if [
                "ones",
                "both signs",
                "zeros",
                "full rests",
                "full bin, above",
            ]
            .contains(name)
            {
                assert!(fitted >= 5, "{name}, {}: {fitted}", level.name());
            }
        }
    }
}

#[test]
fn nan_and_infinity_never_fit() {
    for value in [f32::NAN, f32::INFINITY] {
        for level in Level::available() {
            let (sum, fitted) = level.dispatch(Computed(&[1.0, value, 2.0]));
            assert_eq!(fitted, 0);
            assert_eq!(sum.to_f64().to_bits(), f64::from(value).to_bits());
        }
    }
}

#[test]
fn every_short_length() {
    let mut random = Random(5);
    let values: Vec<f64> = (0..200).map(|_| random.float(-9..=9)).collect();
    let narrow: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    for length in 0..values.len() {
        check("short", &values[..length], sum_f64);
        check("short", &narrow[..length], sum_f32);
    }
}

/// Any order, split and merge tree gives the state, hence the bytes, of one call on the whole.
#[test]
fn splits_orders_and_merge_trees() {
    let mut random = Random(2);
    let mut values: Vec<f32> = (0..30_000)
        .map(|i| random.float(if i % 5000 == 0 { 40..=60 } else { -120..=-1 }) as f32)
        .collect();
    let whole = sum_f32(Level::available()[0], &values);
    for round in 0..20 {
        random.shuffle(&mut values);
        let mut parts = Vec::new();
        let mut rest = values.as_slice();
        while !rest.is_empty() {
            let length = (1 + random.below(4 * BLOCK)).min(rest.len());
            let (values, after) = rest.split_at(length);
            rest = after;
            let levels = Level::available();
            let mut sum = ExactSum::new();
            for values in values.chunks(1 + random.below(length)) {
                let level = levels[random.below(levels.len())];
                level.dispatch(AddSlice {
                    sum: &mut sum,
                    values,
                });
            }
            parts.push(sum);
        }
        while parts.len() > 1 {
            let part = parts.swap_remove(random.below(parts.len()));
            let into = random.below(parts.len());
            parts[into].merge(&part);
        }
        assert_eq!(parts[0], whole, "round {round}");
        assert_eq!(parts[0].to_bytes(), whole.to_bytes(), "round {round}");
    }
}

#[test]
fn sums_that_python_fsum_gives() {
    let cases: [(&[f64], f64); 10] = [
        (&[0.1; 10], 1.0),
        (&[1e100, 1.0, -1e100, 1e-100], 1.0),
        (&[1e16, 1.0, 1e-16], 1.0000000000000002e+16),
        (
            &[9007199254740992.0, 1.0, 7.888609052210118e-31],
            9007199254740994.0,
        ),
        (&[9007199254740992.0, 1.0], 9007199254740992.0),
        (&[-9007199254740992.0, -1.0, -5e-324], -9007199254740994.0),
        (
            &[5e-324, -1.5e-323, 2.2250738585072014e-308],
            2.2250738585072004e-308,
        ),
        (
            &[
                0.0,
                0.8414709848078965,
                0.9092974268256817,
                0.1411200080598672,
                -0.7568024953079282,
            ],
            1.1350859243855171,
        ),
        (&[-0.0, -0.0], 0.0),
        (&[1.0, -1.0, -0.0], 0.0),
    ];
    for (values, expected) in cases {
        assert_eq!(
            one_by_one(values).to_f64().to_bits(),
            expected.to_bits(),
            "{values:?}"
        );
        for level in Level::available() {
            assert_eq!(
                sum_f64(level, values).to_f64().to_bits(),
                expected.to_bits()
            );
        }
    }
}

/// Where `math.fsum` raises `OverflowError` we give the value, if it is one.
#[test]
fn intermediate_overflow_does_not_matter() {
    assert_eq!(one_by_one(&[1e308, 1e308, -1e308]).to_f64(), 1e308);
    assert_eq!(one_by_one(&[1e308, 1e308]).to_f64(), f64::INFINITY);
    assert_eq!(one_by_one(&[-1e308, -1e308]).to_f64(), f64::NEG_INFINITY);
    // The midpoint between the largest float64 and 2^1024 rounds to infinity, just below it does not.
    let half_ulp = 2f64.powi(970);
    assert_eq!(one_by_one(&[f64::MAX, half_ulp]).to_f64(), f64::INFINITY);
    assert_eq!(
        one_by_one(&[f64::MAX, half_ulp, -5e-324]).to_f64(),
        f64::MAX
    );
}

/// 2^62 additions of the largest value, by doubling, and back to zero.
#[test]
fn headroom() {
    for value in [f64::MAX, -f64::MAX] {
        let mut sum = one_by_one(&[value]);
        let mut negated = one_by_one(&[-value]);
        for _ in 0..62 {
            sum.merge(&sum.clone());
            negated.merge(&negated.clone());
        }
        assert_eq!(sum.to_f64(), value * 2.0);
        assert_eq!(sum.divide_by_count(1 << 62), value);
        let read = ExactSum::from_bytes(&sum.to_bytes()).expect("a valid state");
        assert_eq!(read, sum);
        assert!(!sum.is_zero());
        sum.merge(&negated);
        assert!(sum.is_zero());
        assert_eq!(sum, ExactSum::new());
    }
}

/// Any finite float64, all exponents as likely, and ones that cancel.
fn any_values() -> impl Strategy<Value = Vec<f64>> {
    let value = any::<u64>()
        .prop_map(f64::from_bits)
        .prop_filter("finite", |value| value.is_finite());
    let near = (-1f64..1.0).prop_map(|value| value * 2f64.powi(-20));
    prop::collection::vec(
        prop_oneof![value.clone(), near, value.prop_map(f64::trunc)],
        0..60,
    )
}

proptest! {
    #[test]
    fn any_sum_is_rounded_to_nearest(values in any_values()) {
        check("any", &values, sum_f64);
    }

    #[test]
    fn a_value_taken_away_leaves_the_rest(values in any_values(), extra in any_values()) {
        let mut all = values.clone();
        all.extend(&extra);
        all.extend(extra.iter().map(|value| -value));
        prop_assert_eq!(one_by_one(&all), one_by_one(&values));
    }
}

/// 10^8 values, against a sum in 128-bit integers; some seconds in a release build.
#[test]
#[ignore = "long: cargo test --release --lib exact:: -- --ignored"]
fn a_hundred_million_values() {
    struct Long {
        seed: u64,
    }
    impl OnLevel for Long {
        type Output = (ExactSum, i128);
        fn run<S: Token>(self, simd: S) -> Self::Output {
            let mut random = Random(self.seed);
            let mut sum = ExactSum::new();
            // In units of 2^-60.
            let mut integer = 0_i128;
            let mut buffer = vec![0_f32; 10_000];
            for _ in 0..10_000 {
                for value in &mut buffer {
                    *value = random.float(-30..=20) as f32;
                    integer += (f64::from(*value) * 2f64.powi(60)) as i128;
                }
                sum.add_f32_slice(simd, &buffer);
            }
            (sum, integer)
        }
    }
    for (seed, level) in Level::available().into_iter().enumerate() {
        let (sum, integer) = level.dispatch(Long { seed: seed as u64 });
        assert_nearest(sum.to_f64(), &(BigInt::from(integer) << (1074 - 60)));
    }
}
