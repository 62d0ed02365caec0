//! Smooth activations made of roots, quotients and squares alone.

use super::{Activation, Parameter};
use crate::lanes::{Lanes, Token};
use crate::math::twofold::{fast_two_sum, multiply, two_product, two_sum};
use fearless_simd::prelude::*;

/// `x / (1 + |x|)`.
pub struct Softsign;

impl Activation<0> for Softsign {
    const NAME: &'static str = "softsign";
    const DOC: &'static str = "Softsign: ``x / (1 + |x|)``.

Source: Bergstra et al., Quadratic Polynomials Learn Better Image Features, 2009.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        let (reciprocal, low) = reciprocal_of_one_plus(simd, x.abs());
        // From 2^60 on the quotient is 1 in both precisions.
        let limit = V::lit(simd, TWO_60);
        let bounded = x.abs().simd_ge(limit).select(limit.copysign(x), x);
        bounded.fma(reciprocal, bounded * low)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        let reciprocal = reciprocal_of_one_plus_unbounded(simd, x.abs());
        // dy first: the square of a small reciprocal would underflow.
        let (scaled, low) = multiply((dy, V::lit(simd, 0.0)), reciprocal);
        let slope = scaled.fma(reciprocal.0, scaled.fma(reciprocal.1, low * reciprocal.0));
        x.abs()
            .simd_eq(V::lit(simd, f64::INFINITY))
            .select(dy * V::lit(simd, 0.0), slope)
    }
}

const TWO_60: f64 = 1152921504606846976.0;

/// `1 / (1 + a)` as a twofold value, `a >= 0` taken as at most 2^60.
#[inline(always)]
fn reciprocal_of_one_plus<S: Token, V: Lanes<S>>(simd: S, a: V) -> (V, V) {
    let limit = V::lit(simd, TWO_60);
    let bounded = a.simd_ge(limit).select(limit, a);
    reciprocal_of_one_plus_unbounded(simd, bounded)
}

#[inline(always)]
fn reciprocal_of_one_plus_unbounded<S: Token, V: Lanes<S>>(simd: S, a: V) -> (V, V) {
    let one = V::lit(simd, 1.0);
    let (sum, sum_low) = two_sum(one, a);
    let reciprocal = one / sum;
    let residual = (-reciprocal).fma(sum, one);
    (
        reciprocal,
        reciprocal * (-reciprocal).fma(sum_low, residual),
    )
}

/// `(x + sqrt(x^2 + b)) / 2`.
pub struct Squareplus;

/// Squareplus on the way: `sqrt(x^2 + b)`, from x and b scaled so that squares neither overflow nor
/// lose bits to underflow.
struct Scaled<V> {
    x: V,
    /// Not scaled.
    b: V,
    root: (V, V),
    /// Powers of two: what x and the root were multiplied by, and what undoes it.
    scale: V,
    unscale: V,
}

impl<V> Scaled<V> {
    #[inline(always)]
    fn new<S: Token>(simd: S, x: V, b: V) -> Self
    where
        V: Lanes<S>,
    {
        let power = |exponent: i64| V::lit(simd, f64::from_bits(((1023 + exponent) as u64) << 52));
        // Binary exponents: from where on is it large or small, and how far to move it.
        let (bound, down, up) = if V::PRECISION == 24 {
            (40, 90, 100)
        } else {
            (400, 700, 900)
        };
        let one = power(0);
        let size = x.abs() + b.sqrt();
        let (large, small) = (size.simd_gt(power(bound)), size.simd_lt(power(-bound)));
        let scale = large.select(power(-down), small.select(power(up), one));
        let unscale = large.select(power(down), small.select(power(-up), one));
        let x = x * scale;
        let (square, square_low) = two_product(x, x);
        let (sum, sum_low) = two_sum(square, b * scale * scale);
        let high = sum.sqrt();
        let residual = (-high).fma(high, sum) + (sum_low + square_low);
        let zero = V::lit(simd, 0.0);
        let low = sum.simd_eq(zero).select(zero, residual / (high + high));
        Self {
            x,
            b,
            root: (high, low),
            scale,
            unscale,
        }
    }

    /// `(|x| + root) / 2`, scaled, as a twofold value.
    #[inline(always)]
    fn at_positive<S: Token>(&self, simd: S) -> (V, V)
    where
        V: Lanes<S>,
    {
        let half = V::lit(simd, 0.5);
        let (sum, low) = two_sum(self.x.abs(), self.root.0);
        fast_two_sum(sum * half, (low + self.root.1) * half)
    }
}

/// `numerator / (high + low)`, rounded about once.
#[inline(always)]
fn divide<S: Token, V: Lanes<S>>(numerator: V, numerator_low: V, (high, low): (V, V)) -> V {
    let quotient = numerator / high;
    let residual = (-quotient).fma(high, numerator) + (-quotient).fma(low, numerator_low);
    quotient + residual / high
}

impl Activation<1> for Squareplus {
    const NAME: &'static str = "squareplus";
    const DOC: &'static str =
        "Squareplus: ``(x + sqrt(x**2 + b)) / 2``, a softplus without exponentials.

``b`` must not be negative. Source: Barron, Squareplus, 2021 (arXiv:2112.11687).";
    const PARAMETERS: [Parameter; 1] = [Parameter::new("b", 4.0)];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, [b]: [V; 1]) -> V {
        let lit = |value| V::lit(simd, value);
        let scaled = Scaled::new(simd, x, b);
        let positive = scaled.at_positive(simd);
        // For negative x the sum cancels: b / 4 over the value at -x.
        let quarter = scaled.b * scaled.scale * lit(0.25);
        let reflected = divide(quarter, lit(0.0), positive);
        let value = (positive.0 + positive.1) * scaled.unscale;
        let value = x.simd_lt(lit(0.0)).select(reflected, value);
        let value = x.simd_eq(lit(f64::INFINITY)).select(x, value);
        x.simd_eq(lit(f64::NEG_INFINITY)).select(lit(0.0), value)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, [b]: [V; 1]) -> V {
        let lit = |value| V::lit(simd, value);
        // The value over the root: nothing cancels. 1 - that at -x would.
        let scaled = Scaled::new(simd, x, b);
        let (high, low) = scaled.at_positive(simd);
        let slope = divide(high, low, scaled.root);
        let quarter = scaled.b * scaled.scale * lit(0.25);
        let over_value = divide(quarter, lit(0.0), (high, low));
        let reflected = divide(over_value, lit(0.0), scaled.root) * scaled.scale;
        let slope = x.simd_lt(lit(0.0)).select(reflected, slope);
        let slope = x.simd_eq(lit(f64::INFINITY)).select(lit(1.0), slope);
        dy * x.simd_eq(lit(f64::NEG_INFINITY)).select(lit(0.0), slope)
    }
}

/// 0, a parabola, x.
pub struct SparsePlus;

impl Activation<0> for SparsePlus {
    const NAME: &'static str = "sparse_plus";
    const DOC: &'static str =
        "Sparse plus: 0 for ``x <= -1``, ``(x + 1)**2 / 4`` for ``-1 < x < 1``, ``x`` for ``x >= 1``.

Its derivative is `sparse_sigmoid`. Source: jax.nn.sparse_plus; the integral of the sparsemax of two classes
(Martins and Astudillo, 2016).";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        let lit = |value| V::lit(simd, value);
        let one = lit(1.0);
        let (sum, low) = fast_two_sum(one, x);
        let curved = sum.fma(sum, (sum + sum) * low) * lit(0.25);
        let left = x.simd_le(-one).select(lit(0.0), curved);
        x.simd_ge(one).select(x, left)
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        dy * SparseSigmoid::value(simd, x, [])
    }
}

/// `clip((x + 1) / 2, 0, 1)`.
pub struct SparseSigmoid;

impl Activation<0> for SparseSigmoid {
    const NAME: &'static str = "sparse_sigmoid";
    const DOC: &'static str =
        "Sparse sigmoid: ``clip((x + 1) / 2, 0, 1)``, the derivative of `sparse_plus`.

The derivative at the two kinks is 0. Source: jax.nn.sparse_sigmoid.";
    const PARAMETERS: [Parameter; 0] = [];

    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(simd: S, x: V, []: [V; 0]) -> V {
        let half = V::lit(simd, 0.5);
        super::rectifier::clip(half.fma(x, half), V::lit(simd, 0.0), V::lit(simd, 1.0))
    }

    #[inline(always)]
    fn backward<S: Token, V: Lanes<S>>(simd: S, dy: V, x: V, []: [V; 0]) -> V {
        let one = V::lit(simd, 1.0);
        super::rectifier::inside(simd, dy * V::lit(simd, 0.5), x, -one, one)
    }
}
