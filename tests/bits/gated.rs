//! Gated units and their two derivatives.

use super::{Digest, Digests};
use actloss_rs::activation::GATED_UNITS;
use actloss_rs::driver::elementwise::{Strided, run};
use actloss_rs::dtype::{Dtype, Storage};
use actloss_rs::level::Level;

/// Of any numbers `x` with themselves in another order.
pub(super) fn digests<T: Storage>(
    level: Level,
    dtype: Dtype,
    name: &str,
    x: &[T],
    found: &mut Digests,
) {
    let mut other = x.to_vec();
    other.rotate_left(x.len() / 3);
    let mut upstream = x.to_vec();
    upstream.reverse();
    let strided = |slice: &[T]| Strided {
        data: slice.as_ptr().cast_mut().cast(),
        stride: size_of::<T>() as isize,
        dtype,
    };
    let (dy, a, b) = (strided(&upstream), strided(x), strided(&other));
    for unit in GATED_UNITS {
        for (prefix, suffix, kernels, inputs) in [
            ("", "", &unit.value, &[a, b][..]),
            ("backward.", " a", &unit.backward_a, &[dy, a, b]),
            ("backward.", " b", &unit.backward_b, &[dy, a, b]),
        ] {
            let mut y = vec![T::from_f64(0.0); x.len()];
            let output = Strided {
                data: y.as_mut_ptr().cast(),
                ..a
            };
            // SAFETY: all operands are slices of x.len() elements; the output is a vector of its own.
            unsafe { run(level, kernels, inputs, output, x.len()) };
            let mut digest = Digest::default();
            for y in &y {
                digest.add(y.to_f64());
            }
            let key = format!("{prefix}{}{suffix} {name}", unit.name);
            found.insert(key, digest.finish());
        }
    }
}
