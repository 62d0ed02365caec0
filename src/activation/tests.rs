//! What the sweeps over `x` with default parameters and an upstream gradient of 1 do not reach: limits at
//! infinity, large gradients on subnormal slopes, and other parameters.

use super::{ACTIVATIONS, GATED_UNITS};
use crate::driver::elementwise::{Strided, run};
use crate::driver::kernel::Kernels;
use crate::dtype::Dtype;
use crate::level::Level;
use core_math::{exp, expm1, log1p};

/// One element on every level, with a check that all give the same bits.
macro_rules! element {
    ($name:ident, $float:ty, $dtype:expr) => {
        fn $name(kernels: &Kernels, operands: &[f64]) -> $float {
            let operands: Vec<$float> = operands.iter().map(|x| *x as $float).collect();
            let strided = |x: *mut $float| Strided {
                data: x.cast(),
                stride: 0,
                dtype: $dtype,
            };
            let inputs: Vec<_> = operands
                .iter()
                .map(|x| strided(std::ptr::from_ref(x).cast_mut()))
                .collect();
            let results = Level::available().into_iter().map(|level| {
                let mut y: $float = 0.0;
                // SAFETY: each operand is one live element, and the output another.
                unsafe { run(level, kernels, &inputs, strided(&raw mut y), 1) };
                y
            });
            let results: Vec<_> = results.collect();
            assert!(results.iter().all(|y| y.to_bits() == results[0].to_bits()));
            results[0]
        }
    };
}

element!(element_f32, f32, Dtype::Float32);
element!(element_f64, f64, Dtype::Float64);

fn value(name: &str) -> &'static Kernels {
    &ACTIVATIONS.iter().find(|a| a.name == name).unwrap().value
}

fn backward(name: &str) -> &'static Kernels {
    &ACTIVATIONS
        .iter()
        .find(|a| a.name == name)
        .unwrap()
        .backward
}

/// Distance in units in the last place of `reference` as an `f32`.
fn ulp(y: f32, reference: f64) -> f64 {
    let exponent = (reference.abs().to_bits() >> 52) as i32 - 1023;
    (f64::from(y) - reference).abs() / 2.0_f64.powi(exponent.max(-126) - 23)
}

#[test]
fn values_at_infinity() {
    const INF: f64 = f64::INFINITY;
    let lambda_alpha = 1.7580993408473768;
    // Name, parameter, at -inf, at inf.
    let limits: [(&str, &[f64], f64, f64); 13] = [
        ("exp", &[], 0.0, INF),
        ("expm1", &[], -1.0, INF),
        ("log1p", &[], f64::NAN, INF),
        ("sigmoid", &[], 0.0, 1.0),
        ("log_sigmoid", &[], -INF, -0.0),
        ("softplus", &[1.0], 0.0, INF),
        ("softplus", &[0.25], 0.0, INF),
        ("silu", &[], -0.0, INF),
        ("mish", &[], -0.0, INF),
        ("tanh", &[], -1.0, 1.0),
        ("tanh_shrink", &[], -INF, INF),
        ("elu", &[2.0], -2.0, INF),
        ("selu", &[], -lambda_alpha, INF),
    ];
    for (name, parameters, low, high) in limits {
        for (x, expected) in [(-INF, low), (INF, high)] {
            let operands = [&[x], parameters].concat();
            let double = element_f64(value(name), &operands);
            let single = element_f32(value(name), &operands);
            let same = |bits: bool| bits || expected.is_nan();
            assert!(
                same(double.to_bits() == expected.to_bits()),
                "{name}({x}) = {double}"
            );
            assert!(
                same(single.to_bits() == (expected as f32).to_bits()),
                "{name}({x}) = {single}"
            );
            assert_eq!(double.is_nan(), expected.is_nan(), "{name}({x})");
            assert_eq!(single.is_nan(), expected.is_nan(), "{name}({x})");
        }
    }
    assert_eq!(element_f64(value("log1p"), &[-1.0]), -INF);
}

#[test]
fn slopes_at_infinity() {
    const INF: f64 = f64::INFINITY;
    let limits: [(&str, &[f64], f64, f64); 12] = [
        ("exp", &[], 0.0, INF),
        ("expm1", &[], 0.0, INF),
        ("sigmoid", &[], 0.0, 0.0),
        ("log_sigmoid", &[], 1.0, 0.0),
        ("softplus", &[1.0], 0.0, 1.0),
        ("silu", &[], 0.0, 1.0),
        ("mish", &[], 0.0, 1.0),
        ("tanh", &[], 0.0, 0.0),
        ("tanh_shrink", &[], 1.0, 1.0),
        ("elu", &[2.0], 0.0, 1.0),
        ("celu", &[2.0], 0.0, 1.0),
        ("selu", &[], 0.0, 1.0507009873554805),
    ];
    for (name, parameters, low, high) in limits {
        for (x, expected) in [(-INF, low), (INF, high)] {
            let operands = [&[1.0, x], parameters].concat();
            assert_eq!(
                element_f64(backward(name), &operands),
                expected,
                "{name} at {x}"
            );
            assert_eq!(
                element_f32(backward(name), &operands),
                expected as f32,
                "{name} at {x}"
            );
        }
    }
}

/// A slope that is subnormal as an `f32`, times a gradient that brings the product back: the slope must
/// not be rounded on its own. And `e^x` beyond the range times a gradient that is small.
#[test]
fn gradients_keep_their_digits_where_the_slope_is_subnormal() {
    type Slope = fn(f64) -> f64;
    // Name, parameter, a function that goes like e^x times the last.
    let tails: [(&str, &[f64], Slope); 10] = [
        ("exp", &[], |x| exp(x)),
        ("sigmoid", &[], |x| exp(x)),
        ("softplus", &[1.0], |x| exp(x)),
        ("softplus", &[0.5], |x| exp(0.5 * x)),
        ("silu", &[], |x| (1.0 + x) * exp(x)),
        ("mish", &[], |x| (1.0 + x) * exp(x)),
        ("tanh", &[], |x| 4.0 * exp(2.0 * x)),
        ("elu", &[0.75], |x| 0.75 * exp(x)),
        ("celu", &[0.75], |x| exp(x / 0.75)),
        ("selu", &[], |x| 1.7580993408473768 * exp(x)),
    ];
    for (name, parameters, slope) in tails {
        for k in 0..200 {
            let x = f64::from(-70.0 - 0.27 * k as f32);
            let dy = f64::from((3e7 / exp(0.7 * x)) as f32);
            let exact = dy * slope(x);
            if !dy.is_finite() || exact.abs() < 1e-44 {
                continue;
            }
            let y = element_f32(backward(name), &[&[dy, x], parameters].concat());
            assert!(
                ulp(y, exact) <= 2.0,
                "{name} at {x}: {dy:e} gives {y:e}, not {exact:e}"
            );
        }
    }
    let y = element_f32(backward("exp"), &[f64::from(1e-30_f32), 100.0]);
    assert!(ulp(y, f64::from(1e-30_f32) * exp(100.0)) <= 2.0);
}

/// Every parameter, positive and negative, tiny and huge.
#[test]
fn parameters_of_any_size() {
    for parameter in [1e-30_f32, 1e-3, 0.1, 0.7, 1.0, 3.0, 1e5, 1e30, -2.0, -0.3] {
        let beta = f64::from(parameter);
        for k in -150..150 {
            // Arguments of ordinary size once multiplied or divided by the parameter.
            let argument = 0.713 * f64::from(k) + 0.1;
            let x = f64::from((argument / beta) as f32);
            let z = beta * x;
            let exact = z.max(0.0) / beta + log1p(exp(-z.abs())) / beta;
            let y = element_f32(value("softplus"), &[x, beta]);
            assert!(
                ulp(y, exact) <= 0.76,
                "softplus({x}, {beta}): {y:e}, {exact:e}"
            );

            let x = f64::from(argument as f32);
            let exact = if x > 0.0 { x } else { beta * expm1(x) };
            let y = element_f32(value("elu"), &[x, beta]);
            assert!(ulp(y, exact) <= 0.76, "elu({x}, {beta}): {y:e}, {exact:e}");

            let x = f64::from((argument * beta) as f32);
            if beta > 0.0 {
                let exact = if x > 0.0 { x } else { beta * expm1(x / beta) };
                let y = element_f32(value("celu"), &[x, beta]);
                assert!(ulp(y, exact) <= 0.76, "celu({x}, {beta}): {y:e}, {exact:e}");
            }
        }
    }
    assert_eq!(element_f64(value("softplus"), &[1.0, 0.0]), f64::INFINITY);
}

/// The same bits on every level, and the formula, where the activation is normal and where it is not.
#[test]
fn gated_units_on_all_levels() {
    type Unit<'a> = (&'a str, &'a dyn Fn(f64, f64) -> f64);
    let sigmoid = |x: f64| 1.0 / (1.0 + exp(-x));
    let units: [Unit<'_>; 2] = [
        ("glu", &|a, b| a * sigmoid(b)),
        ("swiglu", &|a, b| b * a * sigmoid(a)),
    ];
    for definition in GATED_UNITS {
        let expected = units.iter().find(|(name, _)| *name == definition.name);
        for k in -400..400 {
            let a = f64::from((0.27 * f64::from(k)) as f32);
            for b in [-3.7, 0.4, 1e30] {
                let b = f64::from(b as f32);
                let (a, b) = if definition.name == "glu" {
                    (b, a)
                } else {
                    (a, b)
                };
                let single = element_f32(&definition.value, &[a, b]);
                let double = element_f64(&definition.value, &[a, b]);
                if let Some((name, formula)) = expected {
                    let exact = formula(a, b);
                    assert!(ulp(single, exact) <= 2.4, "{name}({a}, {b}): {single:e}");
                    assert!((double - exact).abs() <= 1e-14 * exact.abs());
                }
                element_f32(&definition.backward_a, &[0.7, a, b]);
                element_f64(&definition.backward_b, &[0.7, a, b]);
            }
        }
    }
}
