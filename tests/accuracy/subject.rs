//! What is measured: the crate's activations, through the same driver as NumPy's calls.

use actloss_rs::activation::Definition;
use actloss_rs::driver::elementwise::{Strided, run};
use actloss_rs::dtype::{Dtype, Storage};
use actloss_rs::level::Level;

/// The function itself, or its derivative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// `f(x)`.
    Value,
    /// `f'(x)`: `backward` with an upstream gradient of 1.
    Derivative,
}

/// The quantity at each of `x`, with the default parameters, as arrays of type `dtype`, which is `T`.
pub fn evaluate<T: Storage>(
    level: Level,
    activation: &Definition,
    quantity: Quantity,
    dtype: Dtype,
    x: &[T],
) -> Vec<T> {
    assert_eq!(dtype.size(), size_of::<T>());
    let mut constants: Vec<T> = vec![T::from_f64(1.0)];
    constants.extend(
        activation
            .parameters
            .iter()
            .map(|p| T::from_f64(p.default.unwrap_or(0.25))),
    );
    let strided = |slice: &[T], stride: usize| Strided {
        data: slice.as_ptr().cast_mut().cast(),
        stride: stride as isize,
        dtype,
    };
    let kernels = match quantity {
        Quantity::Value => &activation.value,
        Quantity::Derivative => &activation.backward,
    };
    let constant = |k: usize| strided(&constants[k..], 0);
    let upstream = (quantity == Quantity::Derivative).then(|| constant(0));
    let inputs: Vec<Strided> = upstream
        .into_iter()
        .chain([strided(x, size_of::<T>())])
        .chain((1..constants.len()).map(constant))
        .collect();
    let mut y = vec![T::from_f64(0.0); x.len()];
    let output = Strided {
        data: y.as_mut_ptr().cast(),
        stride: size_of::<T>() as isize,
        dtype,
    };
    // SAFETY: the operands are slices of x.len() elements, or one element with stride 0; the output
    // is a vector of its own.
    unsafe { run(level, kernels, &inputs, output, x.len()) };
    y
}
