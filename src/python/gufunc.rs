//! Functions along an axis as gufuncs, for objects with an `__array_ufunc__` of their own.
//!
//! pandas, Dask and their like take a ufunc apart from what it is called with: pandas unwraps a frame
//! and wraps the result, Dask makes a graph of blocks. That works for a gufunc called with `axis=`.

use super::ufunc::{Declaration, bfloat16, kernel_panicked};
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::{Operand, OperandMut};
use crate::dtype::Dtype;
use crate::level::Level;
use crate::reduction::softmax::{Rows, log_softmax, logsumexp, softmax, softmin};
use crate::reduction::sparsemax::sparsemax;
use numpy::npyffi::npy_intp;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

const MODULE: &str = "actloss_rs._core";

/// A loop: the function and the type of its operands.
struct Loop {
    kernel: fn(Rows, &Operand<'_>, &OperandMut<'_>),
    reduces: bool,
    dtype: Dtype,
}

unsafe extern "C" fn shim(
    args: *mut *mut c_char,
    dimensions: *mut npy_intp,
    steps: *mut npy_intp,
    data: *mut c_void,
) {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _environment = FloatingPointGuard::new();
        // SAFETY: `data` is the `Loop` that `call` leaked. NumPy passes two operands, the numbers of rows
        // and of elements of a row, and the strides of the rows, then of the elements.
        let (this, args, sizes, strides) = unsafe {
            let this = &*data.cast::<Loop>();
            let strides = std::slice::from_raw_parts(steps, if this.reduces { 3 } else { 4 });
            (
                this,
                [*args, *args.add(1)],
                [*dimensions, *dimensions.add(1)],
                strides,
            )
        };
        let [count, columns] = sizes.map(|size| usize::try_from(size).unwrap_or(0));
        let shape = [count, columns];
        // SAFETY: NumPy's contract: the operands are valid, in native byte order, and the output does not
        // overlap the input.
        let (x, out) = unsafe {
            let x = Operand::new(
                args[0].cast(),
                this.dtype,
                false,
                &shape,
                &[strides[0], strides[2]],
            );
            let out = if this.reduces {
                OperandMut::new(
                    args[1].cast(),
                    this.dtype,
                    false,
                    &shape[..1],
                    &strides[1..2],
                )
            } else {
                let strides = [strides[1], strides[3]];
                OperandMut::new(args[1].cast(), this.dtype, false, &shape, &strides)
            };
            (x, out)
        };
        let rows = Rows {
            level: Level::current(),
            columns,
            double: this.dtype == Dtype::Float64,
        };
        (this.kernel)(rows, &x, &out);
    }));
    if result.is_err() {
        kernel_panicked();
    }
}

/// Add the gufuncs. Dask sends one by its name to the process that calls it, which finds it here.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let bfloat16 = bfloat16(py)?;
    for (name, kernel, reduces) in [
        (
            "softmax",
            softmax as fn(Rows, &Operand<'_>, &OperandMut<'_>),
            false,
        ),
        ("softmin", softmin, false),
        ("sparsemax", sparsemax, false),
        ("log_softmax", log_softmax, false),
        ("logsumexp", logsumexp, true),
    ] {
        let declaration = Declaration {
            name,
            module: MODULE,
            doc: "See the function of this name in actloss_rs.",
            inputs: 1,
            signature: Some(if reduces { "(n)->()" } else { "(n)->(n)" }),
            shim,
        };
        let gufunc = declaration.make(py, bfloat16, |dtypes| {
            Box::into_raw(Box::new(Loop {
                kernel,
                reduces,
                dtype: dtypes[0],
            }))
            .cast()
        })?;
        module.add(name, gufunc)?;
    }
    Ok(())
}

/// Call the gufunc `name` on an object that will dispatch it. `reduces` says with which `keepdims`.
pub(super) fn call<'py>(
    name: &str,
    x: &Bound<'py, PyAny>,
    axis: isize,
    out: Option<&Bound<'py, PyAny>>,
    reduces: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = x.py();
    let keywords = PyDict::new(py);
    keywords.set_item("axis", axis)?;
    if let Some(out) = out {
        keywords.set_item("out", out)?;
    }
    if reduces == Some(true) {
        keywords.set_item("keepdims", true)?;
    }
    py.import(MODULE)?
        .getattr(name)?
        .call((x,), Some(&keywords))
}
