//! Blocks of elements: buffers in first-level cache, and the search for values that are refused.

use super::super::call::{Argument, Found, Refusal};
use super::{Domain, Element, Results};
use crate::driver::operand::Operand;
use crate::dtype::{Dtype, Real};
use crate::lanes::Token;

/// What a thread needs to evaluate blocks in `T`.
pub(super) struct Buffers<T> {
    /// For operands that do not lie in memory as `T`s.
    pub(super) operands: Element<Vec<T>>,
    /// The first result of the kernel: values, or gradients.
    pub(super) first: Vec<T>,
    /// The second result: gradients, or Hessians.
    pub(super) second: Vec<T>,
}

impl<T: Default + Clone> Buffers<T> {
    pub(super) fn new() -> Self {
        Self {
            operands: Element {
                y_true: Vec::new(),
                y_pred: Vec::new(),
                parameter: Vec::new(),
            },
            first: Vec::new(),
            second: Vec::new(),
        }
    }
}

/// What a kernel is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Value,
    ValueAndGradient,
    GradientAndHessian,
}

impl Wanted {
    /// Room for the results of `n` elements.
    pub(super) fn results<'b, T: Default + Clone>(
        self,
        first: &'b mut Vec<T>,
        second: &'b mut Vec<T>,
        n: usize,
    ) -> Results<'b, T> {
        let first = room(first, n);
        match self {
            Self::Value => Results::Value(first),
            Self::ValueAndGradient => Results::ValueAndGradient(first, room(second, n)),
            Self::GradientAndHessian => Results::GradientAndHessian(first, room(second, n)),
        }
    }
}

/// Whether numbers of this type may not be representable as `f32`.
pub(super) fn exceeds_f32(dtype: Dtype) -> bool {
    matches!(
        dtype,
        Dtype::Float64 | Dtype::Int32 | Dtype::Int64 | Dtype::UInt32 | Dtype::UInt64
    )
}

/// Round a block; whether nothing was lost.
pub(super) fn narrow<S: Token, T: Real>(simd: S, exact: &[f64], rounded: &mut [T]) -> bool {
    let changed = simd.vectorize(
        #[inline(always)]
        || {
            let mut changed = 0_u32;
            for (target, &value) in rounded.iter_mut().zip(exact) {
                *target = T::nearest(value);
                changed += u32::from((*target).into() != value);
            }
            changed
        },
    );
    changed == 0
}

/// The buffer with room for `n` elements, in whole vectors.
pub(super) fn room<T: Default + Clone>(buffer: &mut Vec<T>, n: usize) -> &mut [T] {
    let size = n.next_multiple_of(16);
    if buffer.len() < size {
        buffer.resize(size, T::default());
    }
    &mut buffer[..size]
}

/// The elements `start .. start + n` of an operand, through the buffer unless they lie as a slice.
pub(super) fn load<'b, S: Token, T: Real>(
    simd: S,
    operand: &Operand<'b>,
    start: usize,
    n: usize,
    buffer: &'b mut Vec<T>,
) -> &'b [T] {
    if let Some(slice) = operand.as_slice(start, n) {
        return slice;
    }
    let buffer = &mut room(buffer, n)[..n];
    operand.read(simd, start, buffer);
    buffer
}

/// The first element of a block of which `bad` counts anything, which it must not of NaN.
fn first<S: Token, T: Real>(
    simd: S,
    argument: Argument,
    start: usize,
    block: &[T],
    bad: impl Fn(T) -> u32,
    found: impl Fn(f64) -> Found,
) -> Option<Refusal> {
    let count = simd.vectorize(
        #[inline(always)]
        || block.iter().fold(0_u32, |count, &value| count + bad(value)),
    );
    if count == 0 {
        return None;
    }
    let position = block.iter().position(|&value| bad(value) > 0)?;
    Some(Refusal {
        argument,
        position: start + position,
        found: found(block[position].into()),
    })
}

/// The first element outside of the domain.
#[allow(
    clippy::needless_bitwise_bool,
    reason = "without branches, so that the search is vectorised"
)]
pub(super) fn outside<S: Token, T: Real>(
    simd: S,
    domain: Domain,
    argument: Argument,
    start: usize,
    block: &[T],
) -> Option<Refusal> {
    let (zero, one) = (T::nearest(0.0), T::nearest(1.0));
    let minus_one = T::nearest(-1.0);
    match domain {
        Domain::All => None,
        Domain::UnitInterval => first(
            simd,
            argument,
            start,
            block,
            #[inline(always)]
            |value| u32::from(value < zero) + u32::from(value > one),
            Found::OutsideUnitInterval,
        ),
        Domain::NotNegative => first(
            simd,
            argument,
            start,
            block,
            #[inline(always)]
            |value| u32::from(value < zero),
            Found::Negative,
        ),
        Domain::AboveMinusOne => first(
            simd,
            argument,
            start,
            block,
            #[inline(always)]
            |value| u32::from(value <= minus_one),
            Found::NotAboveMinusOne,
        ),
        Domain::Signs => first(
            simd,
            argument,
            start,
            block,
            #[inline(always)]
            // Less and greater, so that NaN passes: what lies between is on two sides at once.
            |value| {
                let between = |low: T, high: T| u32::from(value > low) * u32::from(value < high);
                u32::from(value < minus_one)
                    + between(minus_one, zero)
                    + between(zero, one)
                    + u32::from(value > one)
            },
            Found::NotASign,
        ),
    }
}
