//! Softmax and its kin, forwards and backwards.

use super::{Digest, Digests, Random};
use actloss_rs::driver::operand::{Operand, OperandMut};
use actloss_rs::dtype::{Dtype, Real};
use actloss_rs::level::Level;
use actloss_rs::reduction::softmax::{
    Rows, log_softmax, log_softmax_backward, logsumexp, logsumexp_backward, softmax,
    softmax_backward, softmin, softmin_backward,
};
use actloss_rs::reduction::sparsemax::{sparsemax, sparsemax_backward};

const COLUMNS: [usize; 6] = [2, 10, 33, 100, 1000, 5003];

pub(super) fn digests(level: Level, found: &mut Digests) {
    of_type::<f32>(level, "float32", found);
    of_type::<f64>(level, "float64", found);
}

fn of_type<T: Real>(level: Level, name: &str, found: &mut Digests) {
    for columns in COLUMNS {
        let count = (4000 / columns).max(3);
        let rows = Rows {
            level,
            columns,
            double: T::DTYPE == Dtype::Float64,
        };
        let mut random = Random(2);
        let mut numbers =
            |n: usize| -> Vec<T> { (0..n).map(|_| T::from_f64(random.logit(9.0))).collect() };
        let (x, dy, sums) = (
            numbers(count * columns),
            numbers(count * columns),
            numbers(count),
        );
        let (from_x, from_dy) = (Operand::from_slice(&x), Operand::from_slice(&dy));
        let mut digest_of =
            |function: &str, n: usize, compute: &dyn Fn(&OperandMut<'_>)| -> Vec<T> {
                let mut y = vec![T::default(); n];
                compute(&target(&mut y));
                let mut digest = Digest::default();
                for y in &y {
                    digest.add(y.to_f64());
                }
                found.insert(format!("{function} {columns} {name}"), digest.finish());
                y
            };
        let all = x.len();
        let y = digest_of("softmax", all, &|out| softmax(rows, &from_x, out));
        let of_softmin = digest_of("softmin", all, &|out| softmin(rows, &from_x, out));
        let of_sparsemax = digest_of("sparsemax", all, &|out| sparsemax(rows, &from_x, out));
        digest_of("log_softmax", all, &|out| log_softmax(rows, &from_x, out));
        digest_of("logsumexp", count, &|out| logsumexp(rows, &from_x, out));
        digest_of("backward.softmax", all, &|out| {
            softmax_backward(rows, &from_dy, &Operand::from_slice(&y), out);
        });
        digest_of("backward.softmin", all, &|out| {
            softmin_backward(rows, &from_dy, &Operand::from_slice(&of_softmin), out);
        });
        digest_of("backward.sparsemax", all, &|out| {
            sparsemax_backward(rows, &from_dy, &Operand::from_slice(&of_sparsemax), out);
        });
        digest_of("backward.log_softmax", all, &|out| {
            log_softmax_backward(rows, &from_dy, &from_x, out);
        });
        digest_of("backward.logsumexp", all, &|out| {
            logsumexp_backward(rows, &Operand::from_slice(&sums), &from_x, out);
        });
    }
}

/// An operand to write a slice through.
pub(super) fn target<T: Real>(slice: &mut [T]) -> OperandMut<'_> {
    let (shape, strides) = ([slice.len()], [size_of::<T>() as isize]);
    // SAFETY: the elements are those of an exclusively borrowed slice.
    unsafe { OperandMut::new(slice.as_mut_ptr().cast(), T::DTYPE, false, &shape, &strides) }
}
