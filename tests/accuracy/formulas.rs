//! The textbook: what each activation is, and its derivative, written for the reader.
//!
//! One line a function where one line does. A form is rearranged only where the usual one cancels, so
//! that [`Real::ERROR`] holds for all of them.

use super::real::Real;
use super::wide::Wide;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// A derivative, as two terms that may cancel: its error is counted in ulps of the largest of the
/// terms and their sum.
pub type Terms<R> = (R, R);

/// A function of `x` and parameters, in `f64` and in [`Wide`].
type Both<A, B> = (fn(f64, &[f64]) -> A, fn(Wide, &[Wide]) -> B);

/// An activation as the textbook has it.
pub struct Formula {
    /// The name of the activation.
    pub name: &'static str,
    /// How many parameters it has.
    pub parameters: usize,
    /// `f(x)` in each arithmetic.
    pub value: Both<f64, Wide>,
    /// `f'(x)` in each arithmetic.
    pub derivative: Both<Terms<f64>, Terms<Wide>>,
}

macro_rules! formulas {
    ($($f:ident($x:ident $(, [$($p:ident),+])?) = $value:expr, $derivative:expr;)*) => {
        /// All of them.
        pub const FORMULAS: &[Formula] = &[$(Formula {
            name: stringify!($f),
            parameters: <[&str]>::len(&[$($(stringify!($p)),+)?]),
            value: ($f::value::<f64>, $f::value::<Wide>),
            derivative: ($f::derivative::<f64>, $f::derivative::<Wide>),
        }),*];

        $(mod $f {
            #[allow(clippy::wildcard_imports, reason = "the formulas' vocabulary")]
            use super::*;

            pub(super) fn value<R: Real>($x: R, parameters: &[R]) -> R {
                $(let [$($p),+] = parameters else { panic!("wrong number of parameters") };)?
                let _ = parameters;
                $value
            }

            pub(super) fn derivative<R: Real>($x: R, parameters: &[R]) -> Terms<R> {
                $(let [$($p),+] = parameters else { panic!("wrong number of parameters") };)?
                let _ = parameters;
                $derivative
            }
        })*
    };
}

// Name and operands, value, derivative.
formulas! {
    exp(x) = x.exp(), one(x.exp());

    expm1(x) = x.expm1(), one(x.exp());

    log1p(x) = x.log1p(), one(if x < -1.0 { R::from(f64::NAN) } else { (x + 1.0).reciprocal() });

    erf(x) = x.erf(), one(two_over_sqrt_pi::<R>() * (-x * x).exp());

    sigmoid(x) = s(x), one(s(x) * s(-x));

    tanh(x) = x.tanh(), one(s(x + x) * s(-x - x) * 4.0);

    silu(x) = x * s(x), (s(x), x * s(x) * s(-x));

    mish(x) = x * log1p_exp(x).tanh(), (log1p_exp(x).tanh(), x * tanh_log1p_exp_slope(x));

    gelu(x) = x * normal_cdf(x), (normal_cdf(x), x * normal_pdf(x));

    gelu_tanh(x) = x * s(u(x) * 2.0), {
        let slope = sqrt_two_over_pi::<R>() * (cubic::<R>() * x * x * 3.0 + 1.0);
        (s(u(x) * 2.0), x * s(u(x) * 2.0) * s(u(x) * -2.0) * slope * 2.0)
    };

    softplus(x, [beta]) = log1p_exp(*beta * x) / *beta, one(s(*beta * x));

    log_sigmoid(x) = -log1p_exp(-x), one(s(-x));

    relu(x) = x.max(0.0), one(indicator(x > 0.0));

    relu6(x) = x.max(0.0).min(6.0), one(indicator(x > 0.0 && x < 6.0));

    leaky_relu(x, [slope]) = if x > 0.0 { x } else { *slope * x },
        one(if x > 0.0 { R::from(1.0) } else { *slope });

    prelu(x, [slope]) = if x > 0.0 { x } else { *slope * x },
        one(if x > 0.0 { R::from(1.0) } else { *slope });

    elu(x, [alpha]) = if x > 0.0 { x } else { *alpha * x.expm1() },
        one(if x > 0.0 { R::from(1.0) } else { *alpha * x.exp() });

    celu(x, [alpha]) = if x > 0.0 { x } else { *alpha * (x / *alpha).expm1() },
        one((x / *alpha).min(0.0).exp());

    selu(x) = if x > 0.0 { lambda::<R>() * x } else { lambda_alpha::<R>() * x.expm1() },
        one(if x > 0.0 { lambda::<R>() } else { lambda_alpha::<R>() * x.exp() });

    softsign(x) = x / (x.abs() + 1.0), one(((x.abs() + 1.0) * (x.abs() + 1.0)).reciprocal());

    squareplus(x, [b]) = half_sum_with_root(x, *b),
        one(half_sum_with_root(x, *b) / (x * x + *b).sqrt());

    tanh_shrink(x) = x_minus_tanh(x), one(x.tanh() * x.tanh());

    hard_sigmoid(x, [alpha, beta]) = (*alpha * x + *beta).max(0.0).min(1.0),
        // Rounded to the format, the line at x = 3 is 1 for the default slope: the kink.
        one(*alpha * indicator(*alpha * x + *beta > 0.0 && *alpha * x + *beta - 1.0 < -f64::EPSILON / 4.0));

    hard_swish(x) = x * (x + 3.0).max(0.0).min(6.0) / 6.0,
        one(if x.abs() < 3.0 { x / 3.0 + 0.5 } else { indicator(x > 0.0).into() });

    hard_tanh(x, [low, high]) = if x < *low { *low } else if x > *high { *high } else { x },
        one(indicator(x > *low && x < *high));

    hard_shrink(x, [threshold]) = x * indicator(x.abs() > *threshold),
        one(indicator(x.abs() > *threshold));

    soft_shrink(x, [threshold]) = (x - *threshold).max(0.0) + (x + *threshold).min(0.0),
        one(indicator(x.abs() > *threshold));

    thresholded_relu(x, [theta]) = x * indicator(x > *theta), one(indicator(x > *theta));

    threshold(x, [threshold, otherwise]) = if x > *threshold { x } else { *otherwise },
        one({ let _ = otherwise; indicator(x > *threshold) });

    sparse_plus(x) = if x > 1.0 { x } else { (x + 1.0).max(0.0) * (x + 1.0).max(0.0) / 4.0 },
        one((x / 2.0 + 0.5).max(0.0).min(1.0));

    sparse_sigmoid(x) = (x / 2.0 + 0.5).max(0.0).min(1.0), one(indicator(x.abs() < 1.0) / 2.0);
}

/// A derivative in one piece.
fn one<R: Real>(term: impl Into<R>) -> Terms<R> {
    (term.into(), 0.0.into())
}

/// 1 where the condition holds, else 0.
fn indicator(condition: bool) -> f64 {
    f64::from(u8::from(condition))
}

/// The logistic function.
fn s<R: Real>(x: R) -> R {
    ((-x).exp() + 1.0).reciprocal()
}

/// `log(1 + e^x)`.
fn log1p_exp<R: Real>(x: R) -> R {
    x.max(0.0) + (-x.abs()).exp().log1p()
}

/// The derivative of `tanh(log(1 + e^x))`: `4 e (1+e) / (e^2 + 2 e + 2)^2`, here with `q = e^-|x|`.
fn tanh_log1p_exp_slope<R: Real>(x: R) -> R {
    let q = (-x.abs()).exp();
    let (numerator, root) = if x > 0.0 {
        (q * q * (q + 1.0), q * q * 2.0 + q * 2.0 + 1.0)
    } else {
        (q * (q + 1.0), q * q + q * 2.0 + 2.0)
    };
    numerator * 4.0 / (root * root)
}

fn normal_cdf<R: Real>(x: R) -> R {
    (-x * sqrt_half::<R>()).erfc() / 2.0
}

fn normal_pdf<R: Real>(x: R) -> R {
    (-x * x / 2.0).exp() * R::constant(0.3989422804014327, -2.49232720227773e-17)
}

/// The argument of the tangent in the tanh form of GELU (Hendrycks and Gimpel 2016).
fn u<R: Real>(x: R) -> R {
    sqrt_two_over_pi::<R>() * (x + cubic::<R>() * x * x * x)
}

fn cubic<R: Real>() -> R {
    R::constant(0.044715, 2.1960211427085595e-18)
}

fn sqrt_half<R: Real>() -> R {
    R::constant(FRAC_1_SQRT_2, -4.833646656726457e-17)
}

fn sqrt_two_over_pi<R: Real>() -> R {
    R::constant(0.7978845608028654, -4.98465440455546e-17)
}

fn two_over_sqrt_pi<R: Real>() -> R {
    R::constant(FRAC_2_SQRT_PI, 1.533545961316588e-17)
}

/// The scale of SELU, from its fixed point of mean 0 and variance 1 (Klambauer et al. 2017).
fn lambda<R: Real>() -> R {
    R::constant(1.0507009873554805, 3.987484766715415e-17)
}

/// [`lambda`] times SELU's alpha.
fn lambda_alpha<R: Real>() -> R {
    R::constant(1.7580993408473768, 1.415351938008446e-17)
}

/// `(x + sqrt(x^2 + b)) / 2`.
fn half_sum_with_root<R: Real>(x: R, b: R) -> R {
    let root = (x * x + b).sqrt();
    if x > 0.0 {
        (x + root) / 2.0
    } else {
        b / (root - x) / 2.0
    }
}

/// `x - tanh(x)`, near 0 as `(x cosh(x) - sinh(x)) / cosh(x)`, whose series has no cancellation.
fn x_minus_tanh<R: Real>(x: R) -> R {
    if x.abs() > 1.0 {
        return x - x.tanh();
    }
    let square = x * x;
    // Nested from the end: x^3/3 (1 + 2/1 x^2/(4 5) (1 + 3/2 x^2/(6 7) (1 + ...))).
    let numerator = (1..=15).rev().map(f64::from).fold(R::from(1.0), |sum, k| {
        sum * square * (k + 1.0) / (k * (2.0 * k + 2.0) * (2.0 * k + 3.0)) + 1.0
    });
    let cosh = (1..=15).rev().map(f64::from).fold(R::from(1.0), |sum, k| {
        sum * square / ((2.0 * k - 1.0) * (2.0 * k)) + 1.0
    });
    x * square * numerator / cosh / 3.0
}
