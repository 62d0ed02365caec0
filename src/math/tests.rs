//! The kernels against correctly rounded references, on sampled inputs and on every level.

use super::exp::{Scaled, exp, exp_low, exp_parts, expm1};
use super::log::{log, log1p, log1p_parts_of_positive};
use crate::lanes::{Lanes, Token};
use crate::level::{Level, OnLevel};
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, f64x8};
use std::marker::PhantomData;

/// A function of `N` numbers, written on lanes.
trait Kernel<const N: usize> {
    fn apply<S: Token, V: Lanes<S>>(simd: S, arguments: [V; N]) -> V;
}

macro_rules! kernel {
    ($name:ident, $n:literal, |$simd:ident, $arguments:pat_param| $body:expr) => {
        struct $name;
        impl Kernel<$n> for $name {
            #[inline(always)]
            fn apply<S: Token, V: Lanes<S>>($simd: S, $arguments: [V; $n]) -> V {
                $body
            }
        }
    };
}

kernel!(Exp, 1, |simd, [x]| exp(simd, x));
kernel!(ExpLow, 2, |simd, [x, x_low]| exp_low(simd, x, x_low));
kernel!(ExpHigh, 2, |simd, [x, x_low]| exp_parts(simd, x, x_low).0);
kernel!(ExpRest, 2, |simd, [x, x_low]| exp_parts(simd, x, x_low).1);
kernel!(ExpTimes, 2, |simd, [x, y]| Scaled::exp(
    simd,
    x,
    V::lit(simd, 0.0)
)
.times(simd, y));
kernel!(Expm1, 1, |simd, [x]| expm1(simd, x));
kernel!(Log, 1, |simd, [x]| log(simd, x));
kernel!(Log1p, 1, |simd, [x]| log1p(simd, x));
kernel!(Log1pHigh, 2, |simd, [x, x_low]| log1p_parts_of_positive(
    simd, x, x_low
)
.0);
kernel!(Log1pRest, 2, |simd, [x, x_low]| log1p_parts_of_positive(
    simd, x, x_low
)
.1);

macro_rules! on_lanes {
    ($evaluate:ident, $run:ident, $float:ty, $vector:ident, $lanes:literal) => {
        struct $run<'a, K, const N: usize>(&'a [[$float; N]], PhantomData<K>);

        impl<K: Kernel<N>, const N: usize> OnLevel for $run<'_, K, N> {
            type Output = Vec<$float>;

            fn run<S: Token>(self, simd: S) -> Vec<$float> {
                simd.vectorize(
                    #[inline(always)]
                    || {
                        let mut results = Vec::new();
                        for block in self.0.chunks($lanes) {
                            // The last block is filled up with its first element.
                            let arguments = std::array::from_fn(|n| {
                                let lane = |i: usize| block.get(i).unwrap_or(&block[0])[n];
                                $vector::simd_from(simd, std::array::from_fn(lane))
                            });
                            let y: [$float; $lanes] = K::apply(simd, arguments).into();
                            results.extend_from_slice(&y[..block.len()]);
                        }
                        results
                    },
                )
            }
        }

        /// The results of the fastest level, after a check that every other gives the same bits.
        fn $evaluate<K: Kernel<N>, const N: usize>(inputs: &[[$float; N]]) -> Vec<$float> {
            let levels = Level::available();
            let results = levels[0].dispatch($run::<K, N>(inputs, PhantomData));
            for level in &levels[1..] {
                // Levels without a fused multiply-add are slow: every 31st input will do.
                let few: Vec<_> = inputs.iter().copied().step_by(31).collect();
                let others = level.dispatch($run::<K, N>(&few, PhantomData));
                for ((x, y), z) in inputs.iter().zip(&results).step_by(31).zip(&others) {
                    let same = y.to_bits() == z.to_bits() || (y.is_nan() && z.is_nan());
                    assert!(same, "{}: {x:?} gives {z:e}, not {y:e}", level.name());
                }
            }
            results
        }
    };
}

on_lanes!(evaluate_f32, RunF32, f32, f32x16, 16);
on_lanes!(evaluate_f64, RunF64, f64, f64x8, 8);

/// Every `f32` whose bits are a multiple of 4999, and the values around which something changes.
fn samples_f32() -> Vec<[f32; 1]> {
    let edges = [
        0.0,
        -0.0,
        1e-45,
        -1e-45,
        0.34657359,
        0.41421357,
        0.5,
        std::f32::consts::FRAC_1_SQRT_2,
        1.0,
        std::f32::consts::SQRT_2,
        64.0,
        87.0,
        87.33655,
        88.0,
        88.72284,
        88.7229,
        103.27893,
        103.97208,
        104.0,
        195.0,
        200.0,
        f32::MAX,
    ];
    let bits = (0..=u32::MAX / 4999).map(|k| f32::from_bits(k * 4999));
    let edges = edges.into_iter().flat_map(|x: f32| {
        [
            x,
            -x,
            x.next_up(),
            -x.next_up(),
            x.next_down(),
            -x.next_down(),
        ]
    });
    bits.chain(edges)
        .filter(|x| !x.is_nan())
        .map(|x| [x])
        .collect()
}

/// Random bits, random values of ordinary size, and the edges of `f32` with those of `f64`.
fn samples_f64() -> Vec<[f64; 1]> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut samples = Vec::new();
    for _ in 0..60_000 {
        samples.push([f64::from_bits(random())]);
        let unit = (random() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
        let width = [1.0, 8.0, 50.0, 760.0][(random() % 4) as usize];
        samples.push([unit * width]);
    }
    for x in [
        0.0,
        -0.0,
        5e-324,
        708.0,
        708.4,
        709.78,
        709.79,
        745.13,
        745.14,
        640.0,
        1460.0,
        f64::MAX,
    ] {
        samples.push([x]);
        samples.push([-x]);
    }
    samples.retain(|[x]| !x.is_nan());
    samples
}

/// Distance to `reference`, in units in the last place of `reference` as an `f32`.
fn ulp_f32(y: f32, reference: f64) -> f64 {
    let exponent = (reference.abs().to_bits() >> 52) as i32 - 1023;
    (f64::from(y) - reference).abs() / 2.0_f64.powi(exponent.max(-126) - 23)
}

/// Every result within `bound` ULP; infinities, NaN and the sign of zero as the reference rounds.
fn check_f32<K: Kernel<1>>(reference: fn(f64) -> f64, bound: f64) {
    let samples = samples_f32();
    for ([x], y) in samples.iter().zip(evaluate_f32::<K, 1>(&samples)) {
        let exact = reference(f64::from(*x));
        let rounded = exact as f32;
        if y.to_bits() != rounded.to_bits() && !(y.is_nan() && rounded.is_nan()) {
            let error = ulp_f32(y, exact);
            assert!(error <= bound, "{x:e}: {y:e} is {error} ULP from {exact:e}");
            assert!(y != rounded, "{x:e}: sign of zero");
        }
    }
}

/// Never further than the neighbour of the correctly rounded result, and that seldom: with an error of
/// at most `0.5 + d` ULP about one result in `1 / d` is misrounded at worst.
fn check_f64<K: Kernel<1>>(reference: fn(f64) -> f64) {
    let samples = samples_f64();
    let mut misrounded = 0;
    for ([x], y) in samples.iter().zip(evaluate_f64::<K, 1>(&samples)) {
        let rounded = reference(*x);
        if y.to_bits() != rounded.to_bits() && !(y.is_nan() && rounded.is_nan()) {
            misrounded += 1;
            let apart = y.to_bits().abs_diff(rounded.to_bits());
            assert!(apart <= 1, "{x:e}: {y:e}, correctly rounded {rounded:e}");
        }
    }
    assert!(
        misrounded * 50 < samples.len(),
        "{misrounded} of {}",
        samples.len()
    );
}

#[test]
fn exp_is_accurate() {
    check_f32::<Exp>(core_math::exp, 0.53);
    check_f64::<Exp>(core_math::exp);
}

#[test]
fn expm1_is_accurate() {
    check_f32::<Expm1>(core_math::expm1, 0.6);
    check_f64::<Expm1>(core_math::expm1);
}

#[test]
fn log_is_accurate() {
    check_f32::<Log>(core_math::log, 0.54);
    check_f64::<Log>(core_math::log);
}

#[test]
fn log1p_is_accurate() {
    check_f32::<Log1p>(core_math::log1p, 0.58);
    check_f64::<Log1p>(core_math::log1p);
}

#[test]
fn log1p_of_a_positive_sum_in_parts() {
    let inputs: Vec<_> = samples_f32()
        .into_iter()
        .filter(|[x]| *x >= 0.0 && x.is_finite())
        .map(|[x]| [x, (x.next_up() - x) * 0.37])
        .collect();
    let high = evaluate_f32::<Log1pHigh, 2>(&inputs);
    let rest = evaluate_f32::<Log1pRest, 2>(&inputs);
    for (i, [x, x_low]) in inputs.iter().enumerate() {
        let exact = core_math::log1p(f64::from(*x) + f64::from(*x_low));
        let sum = f64::from(high[i]) + f64::from(rest[i]);
        // The low part may be subnormal.
        let bound = exact * 2.0_f64.powi(-27) + 2.0_f64.powi(-149);
        assert!((sum - exact).abs() <= bound, "{x} {x_low}: {sum} {exact}");
    }
    assert!(inputs.len() > 1000);
    let infinite = evaluate_f32::<Log1pHigh, 2>(&[[f32::INFINITY, 0.0]]);
    assert_eq!(infinite, [f32::INFINITY]);
}

/// The low part of the argument counts, and the parts hold twice the precision.
#[test]
fn exp_of_a_sum_in_parts() {
    let inputs: Vec<_> = samples_f32()
        .into_iter()
        .filter(|[x]| (-110.0..88.0).contains(x))
        .map(|[x]| [x, (x.next_up() - x) * 0.37])
        .collect();
    let high = evaluate_f32::<ExpHigh, 2>(&inputs);
    let rest = evaluate_f32::<ExpRest, 2>(&inputs);
    let rounded = evaluate_f32::<ExpLow, 2>(&inputs);
    for (i, [x, x_low]) in inputs.iter().enumerate() {
        let exact = core_math::exp(f64::from(*x) + f64::from(*x_low));
        let sum = f64::from(high[i]) + f64::from(rest[i]);
        let error = (sum - exact).abs();
        let bound = if *x >= -87.0 {
            // The low part may be subnormal.
            exact * 2.0_f64.powi(-29) + 2.0_f64.powi(-149)
        } else {
            2.0 * f64::from(f32::MIN_POSITIVE)
        };
        assert!(error <= bound, "{x:e} + {x_low:e}: {error:e}");
        let error = ulp_f32(rounded[i], exact);
        assert!(error <= 0.53, "{x:e} + {x_low:e}: {error} ULP");
    }
}

/// `y e^x` where `e^x` alone is out of range: the factors compensate each other.
#[test]
fn product_with_an_exponential_out_of_range() {
    let inputs: Vec<_> = (-2000..2000)
        .map(|k| {
            let x = 0.0937 * k as f32;
            [x, core_math::exp(-0.93 * f64::from(x)) as f32]
        })
        .filter(|[_, y]| y.is_normal())
        .collect();
    for ([x, y], product) in inputs.iter().zip(evaluate_f32::<ExpTimes, 2>(&inputs)) {
        let error = ulp_f32(product, f64::from(*y) * core_math::exp(f64::from(*x)));
        assert!(error <= 1.6, "{y:e} exp({x}): {error} ULP");
    }
}
