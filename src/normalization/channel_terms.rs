//! What is summed over the samples of a channel: values, squares, gradients, their products.

use crate::lanes::Token;
use fearless_simd::f64x8;

/// What deviations are taken from: a mean in two parts.
#[derive(Clone, Copy)]
pub(super) struct Mean<S: Token> {
    pub(super) high: f64x8<S>,
    pub(super) low: f64x8<S>,
}

impl<S: Token> Mean<S> {
    /// `x - mean`.
    #[inline(always)]
    pub(super) fn deviation(self, x: f64x8<S>) -> f64x8<S> {
        (x - self.high) - self.low
    }
}

/// Terms that are summed, each a product.
pub(super) trait Terms<const N: usize>: Sync {
    /// Whether they need the gradient, and the mean.
    const GRADIENT: bool;
    const MEAN: bool;

    /// From an element, its gradient and the mean.
    fn of<S: Token>(
        one: f64x8<S>,
        x: f64x8<S>,
        dy: f64x8<S>,
        mean: Mean<S>,
    ) -> [(f64x8<S>, f64x8<S>); N];
}

pub(super) struct Value;
impl Terms<1> for Value {
    const GRADIENT: bool = false;
    const MEAN: bool = false;
    #[inline(always)]
    fn of<S: Token>(
        one: f64x8<S>,
        x: f64x8<S>,
        _dy: f64x8<S>,
        _mean: Mean<S>,
    ) -> [(f64x8<S>, f64x8<S>); 1] {
        [(x, one)]
    }
}

pub(super) struct ValueAndSquare;
impl Terms<2> for ValueAndSquare {
    const GRADIENT: bool = false;
    const MEAN: bool = false;
    #[inline(always)]
    fn of<S: Token>(
        one: f64x8<S>,
        x: f64x8<S>,
        _dy: f64x8<S>,
        _mean: Mean<S>,
    ) -> [(f64x8<S>, f64x8<S>); 2] {
        [(x, one), (x, x)]
    }
}

pub(super) struct SquaredDeviation;
impl Terms<1> for SquaredDeviation {
    const GRADIENT: bool = false;
    const MEAN: bool = true;
    #[inline(always)]
    fn of<S: Token>(
        _one: f64x8<S>,
        x: f64x8<S>,
        _dy: f64x8<S>,
        mean: Mean<S>,
    ) -> [(f64x8<S>, f64x8<S>); 1] {
        let deviation = mean.deviation(x);
        [(deviation, deviation)]
    }
}

/// `dy`, and `dy` times the deviation.
pub(super) struct Gradients;
impl Terms<2> for Gradients {
    const GRADIENT: bool = true;
    const MEAN: bool = true;
    #[inline(always)]
    fn of<S: Token>(
        one: f64x8<S>,
        x: f64x8<S>,
        dy: f64x8<S>,
        mean: Mean<S>,
    ) -> [(f64x8<S>, f64x8<S>); 2] {
        [(dy, one), (dy, mean.deviation(x))]
    }
}

/// All sums of a gradient at once.
pub(super) struct ValuesAndGradients;
impl Terms<4> for ValuesAndGradients {
    const GRADIENT: bool = true;
    const MEAN: bool = false;
    #[inline(always)]
    fn of<S: Token>(
        one: f64x8<S>,
        x: f64x8<S>,
        dy: f64x8<S>,
        _mean: Mean<S>,
    ) -> [(f64x8<S>, f64x8<S>); 4] {
        [(x, one), (x, x), (dy, one), (dy, x)]
    }
}
