//! Functions of one 16-bit float as tables of all their 65,536 values.
//!
//! The kernels compute 16-bit floats in `f64`, to round once: 2 to 3 ns an element with the conversions. A
//! look-up is 0.4 ns, the price of three instructions on a value of two bytes: the 128 KiB are in the second-level
//! cache, what ordinary values use of them in the first. A table holds what the kernels gave, so a result is
//! the same with and without it.

use super::elementwise::{Strided, run};
use super::kernel::{Kernels, MAX_INPUTS};
use super::threads::parallel;
use crate::dtype::Dtype;
use crate::level::Level;
use std::sync::{Arc, Mutex};

/// Elements after which a table has paid for itself: it costs as much as computing half of them.
const WORTHWHILE: usize = 1 << 17;

/// Elements a thread takes at a time, and from how many on threads are woken.
const GRAIN: usize = 1 << 16;
const PARALLEL_FROM: usize = 1 << 18;

/// Results by the bits of the argument.
type Results = [u16; 1 << 16];

/// The table of one function and dtype, made when it pays.
#[derive(Debug, Default)]
pub struct Table(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What the results are for; another value begins anew.
    parameters: [u16; MAX_INPUTS - 1],
    /// Elements asked for so far.
    seen: usize,
    results: Option<Arc<Results>>,
}

/// As [`run`], by way of the table where that applies and pays.
///
/// # Safety
/// As for [`run`]. Every call with the same table has the same kernels and element types.
pub unsafe fn run_tabulated(
    table: &Table,
    level: Level,
    kernels: &Kernels,
    inputs: &[Strided],
    output: Strided,
    n: usize,
) {
    let [x, parameters @ ..] = inputs else {
        unreachable!("a function has an operand")
    };
    let applies = matches!(output.dtype, Dtype::Float16 | Dtype::BFloat16)
        && inputs.iter().all(|input| input.dtype == output.dtype)
        && parameters.iter().all(|parameter| parameter.stride == 0);
    let results = if applies && n > 0 {
        // SAFETY: passed on.
        unsafe { table.results(level, kernels, parameters, output.dtype, n) }
    } else {
        None
    };
    let Some(results) = results else {
        // SAFETY: passed on.
        return unsafe { run(level, kernels, inputs, output, n) };
    };
    let look_up = LookUp {
        results: &results,
        x: *x,
        output,
    };
    if n < PARALLEL_FROM {
        // SAFETY: all elements of the operands.
        return unsafe { look_up.piece(0, n) };
    }
    // Never stopped: NumPy owns the loop of a ufunc.
    let _ = parallel(
        n,
        GRAIN,
        &|| true,
        || (),
        |(), range| {
            // SAFETY: a part of the elements, which no other thread has.
            unsafe { look_up.piece(range.start, range.len()) };
        },
    );
}

impl Table {
    /// The results for these parameters, if there have been elements enough. Never waits: a lock that
    /// another thread holds, or that a fork has left locked, means no table.
    ///
    /// # Safety
    /// Each parameter has a readable element.
    unsafe fn results(
        &self,
        level: Level,
        kernels: &Kernels,
        parameters: &[Strided],
        dtype: Dtype,
        n: usize,
    ) -> Option<Arc<Results>> {
        let mut state = self.0.try_lock().ok()?;
        let mut bits = [0; MAX_INPUTS - 1];
        for (bits, parameter) in bits.iter_mut().zip(parameters) {
            // SAFETY: a 16-bit element is readable, perhaps unaligned.
            *bits = unsafe { parameter.data.cast::<u16>().read_unaligned() };
        }
        if bits != state.parameters {
            *state = State {
                parameters: bits,
                ..State::default()
            };
        }
        state.seen = state.seen.saturating_add(n);
        if state.results.is_none() && state.seen > WORTHWHILE {
            state.results = Some(compute(level, kernels, bits, dtype));
        }
        state.results.clone()
    }
}

/// The results of all arguments, by the kernels.
#[cold]
fn compute(
    level: Level,
    kernels: &Kernels,
    mut parameters: [u16; MAX_INPUTS - 1],
    dtype: Dtype,
) -> Arc<Results> {
    let mut arguments: Vec<u16> = (0..=u16::MAX).collect();
    let mut results = vec![0_u16; arguments.len()];
    let n = results.len();
    let strided = |data: *mut u16, stride| Strided {
        data: data.cast(),
        stride,
        dtype,
    };
    let [a, b, c] = parameters.each_mut().map(|bits| strided(bits, 0));
    let inputs: [Strided; MAX_INPUTS] = [strided(arguments.as_mut_ptr(), 2), a, b, c];
    // SAFETY: the vectors have `n` elements, the parameters one each.
    unsafe {
        run(
            level,
            kernels,
            &inputs[..kernels.inputs],
            strided(results.as_mut_ptr(), 2),
            n,
        );
    }
    let results: Box<Results> = results
        .into_boxed_slice()
        .try_into()
        .expect("one result for each argument");
    Arc::from(results)
}

struct LookUp<'a> {
    results: &'a Results,
    x: Strided,
    output: Strided,
}

// SAFETY: the pointers are used for disjoint ranges of elements by each thread, within the call of
// `run_tabulated`, whose caller vouches for them.
unsafe impl Sync for LookUp<'_> {}

impl LookUp<'_> {
    /// # Safety
    /// `start + n` elements are readable and writable.
    unsafe fn piece(&self, start: usize, n: usize) {
        let at = |operand: Strided, index: usize| {
            let offset = index as isize * operand.stride;
            operand.data.wrapping_offset(offset).cast::<u16>()
        };
        let (x, output) = (at(self.x, start), at(self.output, start));
        if self.x.stride == 2 && self.output.stride == 2 {
            for i in 0..n {
                // SAFETY: element `i` of the piece of each operand.
                unsafe {
                    let result = self.results[usize::from(x.add(i).read_unaligned())];
                    output.add(i).write_unaligned(result);
                }
            }
            return;
        }
        for i in start..start + n {
            // SAFETY: as above.
            unsafe {
                let result = self.results[usize::from(at(self.x, i).read_unaligned())];
                at(self.output, i).write_unaligned(result);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::ACTIVATIONS;
    use crate::dtype::{F16, Storage};

    /// Every activation without required parameters, in place and not, before and after there is a table.
    #[test]
    fn a_table_gives_what_the_kernels_give() {
        let level = Level::current();
        for definition in ACTIVATIONS {
            let kernels = &definition.value;
            let table = Table::default();
            for scale in [1.0, 0.5] {
                let mut parameters: Vec<u16> = definition
                    .parameters
                    .iter()
                    .map(|parameter| F16::from_f64(parameter.default.unwrap_or(0.25) * scale).0)
                    .collect();
                let mut arguments: Vec<u16> = (0..=u16::MAX).rev().collect();
                let strided = |data: *mut u16, stride| Strided {
                    data: data.cast(),
                    stride,
                    dtype: Dtype::Float16,
                };
                let mut inputs = vec![strided(arguments.as_mut_ptr(), 2)];
                inputs.extend(parameters.iter_mut().map(|bits| strided(bits, 0)));
                let mut expected = vec![0_u16; 1 << 16];
                let mut got = vec![0_u16; 1 << 17];
                // SAFETY: operands of 65,536 elements, every second one of `got`; one parameter each.
                unsafe {
                    let n = 1 << 16;
                    run(
                        level,
                        kernels,
                        &inputs,
                        strided(expected.as_mut_ptr(), 2),
                        n,
                    );
                    for _ in 0..3 {
                        let out = strided(got.as_mut_ptr(), 4);
                        run_tabulated(&table, level, kernels, &inputs, out, n);
                    }
                    assert!(table.0.lock().unwrap().results.is_some());
                    let in_place = inputs[0];
                    run_tabulated(&table, level, kernels, &inputs, in_place, n);
                }
                let spaced: Vec<u16> = got.iter().copied().step_by(2).collect();
                assert_eq!(spaced, expected, "{}", definition.name);
                assert_eq!(arguments, expected, "{}", definition.name);
            }
        }
    }
}
