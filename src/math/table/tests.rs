//! What the sampled and exhaustive accuracy tests of the activations may miss: the ends of the pieces,
//! the two forms against each other, the look-up itself; on every level.

use super::{
    EXP_COMMON, GELU_COMMON, GELU_TANH_COMMON, SIGMOID_COMMON, SILU_COMMON, SOFTPLUS_COMMON,
};
use super::{exp, exp_common, silu, silu_common, softplus, softplus_common, tanh};
use super::{gelu, gelu_common, gelu_tanh, gelu_tanh_common, sigmoid, sigmoid_common};
use crate::activation::ACTIVATIONS;
use crate::driver::kernel::{Input, Stores, canonical_nan};
use crate::lanes::Token;
use crate::level::{Level, OnLevel};
use fearless_simd::prelude::*;
use fearless_simd::{f32x16, u32x16};
use std::marker::PhantomData;

trait Kernel {
    fn apply<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S>;
}

macro_rules! kernels {
    ($($name:ident: $function:ident,)*) => {$(
        struct $name;
        impl Kernel for $name {
            #[inline(always)]
            fn apply<S: Token>(simd: S, x: f32x16<S>) -> f32x16<S> {
                $function(simd, x)
            }
        }
    )*};
}
kernels! {
    Exp: exp,
    ExpCommon: exp_common,
    Tanh: tanh,
    Sigmoid: sigmoid,
    SigmoidCommon: sigmoid_common,
    Silu: silu,
    SiluCommon: silu_common,
    Softplus: softplus,
    SoftplusCommon: softplus_common,
    Gelu: gelu,
    GeluCommon: gelu_common,
    GeluTanh: gelu_tanh,
    GeluTanhCommon: gelu_tanh_common,
}

struct Evaluate<'a, K>(&'a [f32], PhantomData<K>);

impl<K: Kernel> OnLevel for Evaluate<'_, K> {
    type Output = Vec<f32>;

    fn run<S: Token>(self, simd: S) -> Vec<f32> {
        simd.vectorize(
            #[inline(always)]
            || {
                let mut results = Vec::new();
                for block in self.0.chunks(16) {
                    let lane = |i: usize| *block.get(i).unwrap_or(&0.0);
                    let x = f32x16::simd_from(simd, std::array::from_fn(lane));
                    let y: [f32; 16] = canonical_nan(simd, K::apply(simd, x)).into();
                    results.extend_from_slice(&y[..block.len()]);
                }
                results
            },
        )
    }
}

fn evaluate<K: Kernel>(level: Level, x: &[f32]) -> Vec<f32> {
    level.dispatch(Evaluate::<K>(x, PhantomData))
}

/// Every float within 300 of a place where a piece can end, and of the ends of the exceptional ranges.
fn ends() -> Vec<f32> {
    let logarithmic = (0..16).map(|k| f64::from(1 << (k / 4)) * (1.0 + f64::from(k % 4) / 4.0));
    let halves = (0..16).map(|k| f64::from(k) + 0.5);
    let places: Vec<f64> = logarithmic
        .flat_map(|w| [w - f64::from(super::OFFSET), (w - 1.0) / 1.295])
        .chain((0..17).map(gelu_piece_end))
        .chain(halves.clone().map(|k| k / 1.0875))
        .chain(halves)
        .chain([
            12.5, 13.15, 14.25, 15.25, 10.105, 14.5, 10.8, 14.0, 104.0, 109.0,
        ])
        .collect();
    let around = |place: f64| {
        let bits = (place.max(0.0) as f32).to_bits();
        (bits.saturating_sub(300)..bits + 300).map(f32::from_bits)
    };
    let ends: Vec<f32> = places.into_iter().flat_map(around).collect();
    ends.iter().flat_map(|&x| [x, -x]).collect()
}

/// Where `x^2 + SLANT x + OFFSET` is `2^(k/2)`, or for odd `k` half again as much.
fn gelu_piece_end(k: i32) -> f64 {
    let half = f64::from(super::gelu::SLANT) / 2.0;
    let w = 2.0_f64.powi(k / 2) * (1.0 + 0.5 * f64::from(k % 2));
    (half * half + (w - f64::from(super::gelu::OFFSET)).max(0.0)).sqrt() - half
}

/// The logistic function times `factor`, without overflow or cancellation.
fn times_logistic(factor: f64, w: f64) -> f64 {
    let e = core_math::exp(-w.abs());
    factor
        * if w < 0.0 {
            e / (1.0 + e)
        } else {
            1.0 / (1.0 + e)
        }
}

fn check<K: Kernel>(reference: fn(f64) -> f64) {
    let x = ends();
    for level in Level::available() {
        for (x, y) in x.iter().zip(evaluate::<K>(level, &x)) {
            let exact = reference(f64::from(*x));
            if exact > f64::from(f32::MAX) {
                assert_eq!(y, f32::INFINITY, "{x:e} on {}", level.name());
                continue;
            }
            let exponent = (exact.abs().to_bits() >> 52) as i32 - 1023;
            let error = (f64::from(y) - exact).abs() / 2.0_f64.powi(exponent.max(-126) - 23);
            let level = level.name();
            assert!(
                error <= 1.0,
                "{x:e} on {level}: {y:e} is {error} ULP from {exact:e}"
            );
        }
    }
}

#[test]
fn pieces_meet_within_an_ulp() {
    check::<Exp>(core_math::exp);
    check::<Tanh>(core_math::tanh);
    check::<Sigmoid>(|x| times_logistic(1.0, x));
    check::<Silu>(|x| times_logistic(x, x));
    check::<Softplus>(|x| x.max(0.0) + core_math::log1p(core_math::exp(-x.abs())));
    check::<Gelu>(|x| x / 2.0 * core_math::erfc(-x * std::f64::consts::FRAC_1_SQRT_2));
    check::<GeluTanh>(|x| {
        let sqrt_two_over_pi = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
        times_logistic(x, 2.0 * sqrt_two_over_pi * (x + 0.044715 * x * x * x))
    });
}

fn agree<General: Kernel, Common: Kernel>(bound: f32) {
    // Near the bound there may be differences in what becomes subnormal on the way.
    let near_bound = ((bound * 0.97).to_bits()..bound.to_bits()).step_by(17);
    let everywhere = (0..bound.to_bits())
        .step_by(9973)
        .chain(near_bound)
        .map(f32::from_bits);
    let x: Vec<f32> = everywhere
        .flat_map(|x| [x, -x])
        .chain(ends().into_iter().filter(|x| x.abs() < bound))
        .collect();
    for level in Level::available() {
        let general = evaluate::<General>(level, &x);
        let common = evaluate::<Common>(level, &x);
        for ((x, a), b) in x.iter().zip(general).zip(common) {
            assert_eq!(a.to_bits(), b.to_bits(), "{x:e} on {}", level.name());
        }
    }
}

#[test]
fn common_forms_are_the_general_ones() {
    agree::<Exp, ExpCommon>(EXP_COMMON);
    agree::<Sigmoid, SigmoidCommon>(SIGMOID_COMMON);
    agree::<Silu, SiluCommon>(SILU_COMMON);
    agree::<Softplus, SoftplusCommon>(SOFTPLUS_COMMON);
    agree::<Gelu, GeluCommon>(GELU_COMMON);
    agree::<GeluTanh, GeluTanhCommon>(GELU_TANH_COMMON);
}

/// The driver picks the form block by block, and may write over what it reads.
#[test]
fn blocks_of_either_form_in_place() {
    let x: Vec<f32> = (0..3000_u16)
        .map(|i| match i {
            700 => 20.0,
            1500 => f32::NAN,
            2200 => -f32::INFINITY,
            2900.. => -60.0,
            _ => f32::from(i % 97) / 9.0 - 5.0,
        })
        .collect();
    for name in [
        "exp",
        "tanh",
        "sigmoid",
        "silu",
        "log_sigmoid",
        "gelu",
        "gelu_tanh",
    ] {
        let activation = ACTIVATIONS.iter().find(|a| a.name == name).unwrap();
        for level in Level::available() {
            let one_by_one: Vec<u32> = x
                .iter()
                .map(|x| {
                    let mut y = 0.0;
                    // SAFETY: one element each.
                    unsafe {
                        (activation.value.single)(
                            level,
                            &[Input::slice(x)],
                            &raw mut y,
                            1,
                            Stores::Cached,
                        );
                    };
                    y.to_bits()
                })
                .collect();
            let mut y = x.clone();
            let data = y.as_mut_ptr();
            let input = Input::slice(data.cast_const());
            // SAFETY: the output is exactly the input.
            unsafe { (activation.value.single)(level, &[input], data, y.len(), Stores::Cached) };
            let together: Vec<u32> = y.iter().map(|y| y.to_bits()).collect();
            assert_eq!(one_by_one, together, "{name} on {}", level.name());
        }
    }
}

struct LookUp;

impl OnLevel for LookUp {
    type Output = [f32; 16];

    fn run<S: Token>(self, simd: S) -> [f32; 16] {
        simd.vectorize(
            #[inline(always)]
            || {
                let table = f32x16::simd_from(simd, std::array::from_fn(|i| i as f32 + 0.5));
                // All indices once, in an order without a pattern, and with bits that must not count.
                let index = |i: usize| (i * 7 + 3) as u32 + 0x4b40_0000 + ((i as u32 % 5) << 4);
                let index = u32x16::simd_from(simd, std::array::from_fn(index));
                simd.lookup_f32(table, index).into()
            },
        )
    }
}

#[test]
fn lookups_take_the_low_four_bits() {
    let expected = std::array::from_fn(|i| ((i * 7 + 3) % 16) as f32 + 0.5);
    for level in Level::available() {
        assert_eq!(level.dispatch(LookUp), expected, "{}", level.name());
    }
}
