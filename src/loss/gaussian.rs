//! The negative log-likelihood of numbers that have a normal distribution with a variance each.

use super::regression::{difference, unless_nan};
use super::{
    Domain, Domains, Element, ElementwiseLoss, Formula, Kernel, OptionError, check_range,
    define_loss,
};
use crate::lanes::{Lanes, Token};
use crate::math::log::log_parts;
use crate::math::twofold::{add, constant, divide, multiply};
use fearless_simd::prelude::*;

define_loss! {
    "gaussian_nll":
    /// `(log v + (p - y)^2 / v) / 2`, with `full` also `log(2 pi) / 2`; `v = max(var, epsilon)`.
    pub struct GaussianNLL {
        /// Whether the constant is added.
        full: bool = false,
        /// The least variance, which those below it are taken for.
        epsilon: f64 = 1e-6,
    }
}

impl ElementwiseLoss for GaussianNLL {
    const REGRESSION: bool = true;

    fn domains(&self) -> Domains {
        Domains {
            parameter: Domain::NotNegative,
            ..Domains::default()
        }
    }

    fn operand_name(&self) -> Option<&'static str> {
        Some("var")
    }

    fn check_options(&self) -> Result<(), OptionError> {
        check_range("epsilon", self.epsilon, 0.0, f64::INFINITY)
    }

    fn kernel<S: Token>(&self) -> Kernel<S> {
        Kernel::of(NegativeLogLikelihood {
            constant: if self.full { LOG_TWO_PI } else { (0.0, 0.0) },
            epsilon: self.epsilon,
        })
    }
}

/// `log(2 pi)`.
const LOG_TWO_PI: (f64, f64) = (1.8378770664093456, -7.756588316134483e-17);

#[derive(Clone, Copy)]
struct NegativeLogLikelihood {
    /// What is added to the logarithm, in two parts.
    constant: (f64, f64),
    epsilon: f64,
}

impl NegativeLogLikelihood {
    #[inline(always)]
    fn variance<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let epsilon = V::lit(simd, self.epsilon);
        let low = at.parameter.simd_lt(epsilon);
        low.select(epsilon, at.parameter)
    }
}

impl Formula for NegativeLogLikelihood {
    const IN_DOUBLE: bool = true;
    const PARAMETER: bool = true;

    /// The terms may be close, with different signs: both are carried in two parts.
    #[inline(always)]
    fn value<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let (zero, half) = (V::lit(simd, 0.0), V::lit(simd, 0.5));
        let variance = self.variance(simd, at);
        let difference = difference(simd, at);
        let quotient = divide(simd, difference, (variance, zero));
        let square = multiply(difference, quotient);
        let log = log_parts(simd, variance, zero);
        let constant = constant::<S, V>(simd, self.constant);
        let (sum, low) = add(square, add(log, constant));
        let value = half * (sum + low);
        // Infinite terms have no low parts; and no variance leaves only the right prediction.
        let finite_variance = variance.simd_lt(V::lit(simd, f64::INFINITY));
        let limit = finite_variance.select(difference.0 * quotient.0, variance);
        let certain = variance.simd_eq(zero);
        let limit = certain.select(V::lit(simd, f64::INFINITY), limit);
        let right = certain & difference.0.simd_eq(zero);
        let limit = right.select(V::lit(simd, f64::NEG_INFINITY), limit);
        let value = value.is_finite().select(value, limit);
        let missing = difference.0.is_nan() | at.parameter.is_nan();
        missing.select(V::lit(simd, f64::NAN), value)
    }

    /// `(p - y) / v`.
    #[inline(always)]
    fn gradient<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        let difference = at.y_pred - at.y_true;
        let slope = difference / self.variance(simd, at);
        let right = difference.simd_eq(V::lit(simd, 0.0));
        at.parameter
            .is_nan()
            .select(at.parameter, right.select(difference, slope))
    }

    /// `1 / v`.
    #[inline(always)]
    fn hessian<S: Token, V: Lanes<S>>(self, simd: S, at: Element<V>) -> V {
        unless_nan(at, V::lit(simd, 1.0) / self.variance(simd, at))
    }
}
