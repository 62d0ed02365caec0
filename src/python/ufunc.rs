//! NumPy ufuncs from kernels: types, loops, and the one shim between NumPy and Rust.
//!
//! NumPy broadcasts, allocates, casts and resolves overlap; then it calls [`shim`] with pointers and
//! strides, and the loop's `data` says which kernel to run on which types. Everything given to NumPy
//! lives for ever, as ufuncs do.

use crate::activation::{ACTIVATIONS, Definition, GATED_UNITS, GatedDefinition};
use crate::driver::elementwise::Strided;
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::kernel::{Function, Kernels, MAX_INPUTS};
use crate::driver::table::{Table, run_tabulated};
use crate::dtype::Dtype;
use crate::lanes::{Lanes, Token};
use crate::level::Level;
use numpy::npyffi::{NPY_TYPES, PY_UFUNC_API, PyUFuncObject, npy_intp};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule, PyString};
use std::ffi::{CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null;

/// One loop of a ufunc: the kernel and the element types of its operands, the output last.
struct Loop {
    kernels: Kernels,
    dtypes: Vec<Dtype>,
    table: Table,
}

/// The loop NumPy calls for every ufunc and dtype.
unsafe extern "C" fn shim(
    args: *mut *mut c_char,
    dimensions: *mut npy_intp,
    steps: *mut npy_intp,
    data: *mut c_void,
) {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _environment = FloatingPointGuard::new();
        // SAFETY: `data` is the `Loop` that `build` leaked for this ufunc and these types; NumPy passes
        // one pointer and one stride for each of its operands, and the number of elements.
        let (this, n) = unsafe { (&*data.cast::<Loop>(), *dimensions) };
        let operand = |k: usize| Strided {
            // SAFETY: `k` is less than the number of operands.
            data: unsafe { *args.add(k) }.cast(),
            // SAFETY: as above.
            stride: unsafe { *steps.add(k) },
            dtype: this.dtypes[k],
        };
        let arity = this.kernels.inputs;
        let inputs: [Strided; MAX_INPUTS] = std::array::from_fn(|k| operand(k.min(arity)));
        // SAFETY: NumPy's contract: the operands are valid for `n` elements in native byte order, and
        // the output is one of the inputs element by element or overlaps none of them.
        unsafe {
            run_tabulated(
                &this.table,
                Level::current(),
                &this.kernels,
                &inputs[..arity],
                operand(arity),
                usize::try_from(n).unwrap_or(0),
            );
        }
    }));
    if result.is_err() {
        kernel_panicked();
    }
}

/// Make an exception of a panic: NumPy has released the GIL and finds it when the loop is over.
#[cold]
pub(super) fn kernel_panicked() {
    Python::attach(|py| {
        PyRuntimeError::new_err("a kernel panicked: this is a bug in actloss_rs, please report it")
            .restore(py);
    });
}

/// The element types of the loops of a ufunc with `inputs` operands, in the order NumPy tries them.
///
/// One operand: `d, f, e`, so that integers of every width find `d` first while floats match exactly.
/// More: Python scalars must stay weak, for which the narrow floats have to come before `d`; small
/// integers would then match a narrow float, so loops that take them in the first place come first.
fn loop_types(inputs: usize) -> Vec<Vec<Dtype>> {
    let same = |dtype| vec![dtype; inputs + 1];
    let floats = [Dtype::Float16, Dtype::Float32, Dtype::Float64];
    if inputs == 1 {
        return floats.into_iter().rev().map(same).collect();
    }
    let small = [
        Dtype::Bool,
        Dtype::Int8,
        Dtype::UInt8,
        Dtype::Int16,
        Dtype::UInt16,
    ];
    let mut types: Vec<_> = small
        .map(|first| {
            let mut dtypes = same(Dtype::Float64);
            dtypes[0] = first;
            dtypes
        })
        .into();
    types.extend(floats.map(same));
    types
}

fn type_number(dtype: Dtype) -> c_int {
    let number = match dtype {
        Dtype::Bool => NPY_TYPES::NPY_BOOL,
        Dtype::Int8 => NPY_TYPES::NPY_BYTE,
        Dtype::UInt8 => NPY_TYPES::NPY_UBYTE,
        Dtype::Int16 => NPY_TYPES::NPY_SHORT,
        Dtype::UInt16 => NPY_TYPES::NPY_USHORT,
        Dtype::Float16 => NPY_TYPES::NPY_HALF,
        Dtype::Float32 => NPY_TYPES::NPY_FLOAT,
        Dtype::Float64 => NPY_TYPES::NPY_DOUBLE,
        Dtype::Int32 | Dtype::Int64 | Dtype::UInt32 | Dtype::UInt64 | Dtype::BFloat16 => {
            unreachable!("no loop takes {dtype:?}")
        }
    };
    number as c_int
}

/// bfloat16's type number, when `ml_dtypes` can be imported.
///
/// Its loops must exist before a ufunc is first called: without them NumPy converts to float64 and
/// remembers that.
pub(super) fn bfloat16(py: Python<'_>) -> PyResult<Option<c_int>> {
    let Ok(ml_dtypes) = py.import("ml_dtypes") else {
        return Ok(None);
    };
    let dtype = py
        .import("numpy")?
        .getattr("dtype")?
        .call1((ml_dtypes.getattr("bfloat16")?,))?;
    dtype.getattr("num")?.extract().map(Some)
}

/// What NumPy is told of a ufunc, besides its loops.
pub(super) struct Declaration<'a> {
    pub(super) name: &'a str,
    /// Where it is found under its name.
    pub(super) module: &'a str,
    pub(super) doc: &'a str,
    pub(super) inputs: usize,
    /// The core dimensions of a gufunc.
    pub(super) signature: Option<&'a str>,
    /// The loop for all types.
    pub(super) shim:
        unsafe extern "C" fn(*mut *mut c_char, *mut npy_intp, *mut npy_intp, *mut c_void),
}

impl Declaration<'_> {
    /// Make the ufunc; `data` gives what its shim needs for the element types of a loop, for ever.
    pub(super) fn make<'py>(
        &self,
        py: Python<'py>,
        bfloat16: Option<c_int>,
        data: impl Fn(Vec<Dtype>) -> *mut c_void,
    ) -> PyResult<Bound<'py, PyAny>> {
        let types = loop_types(self.inputs);
        let mut functions: Vec<_> = types.iter().map(|_| Some(self.shim)).collect();
        let mut numbers: Vec<c_char> = Vec::new();
        let mut loops: Vec<*mut c_void> = Vec::new();
        let count = types.len() as c_int;
        for dtypes in types {
            numbers.extend(dtypes.iter().map(|&dtype| type_number(dtype) as c_char));
            loops.push(data(dtypes));
        }
        let name = CString::new(self.name)?.into_raw();
        let doc = CString::new(self.doc)?.into_raw();
        let signature = self.signature.map(CString::new).transpose()?;
        // SAFETY: the arrays have the lengths that `count` and the number of operands imply; they and the
        // strings are leaked, since the ufunc keeps pointers to them, but for the signature, which NumPy
        // copies.
        let ufunc = unsafe {
            let ufunc = PY_UFUNC_API.PyUFunc_FromFuncAndDataAndSignature(
                py,
                functions.as_mut_ptr(),
                loops.as_mut_ptr(),
                numbers.as_mut_ptr(),
                count,
                self.inputs as c_int,
                1,
                -1,
                name,
                doc,
                0,
                signature
                    .as_ref()
                    .map_or(null(), |signature| signature.as_ptr()),
            );
            Bound::from_owned_ptr_or_err(py, ufunc)?
        };
        std::mem::forget((functions, numbers, loops));
        if let Some(number) = bfloat16 {
            let dtypes = vec![Dtype::BFloat16; self.inputs + 1];
            let mut numbers = vec![number; dtypes.len()];
            // SAFETY: a ufunc, and one type number for each of its operands, which NumPy copies.
            let failed = unsafe {
                PY_UFUNC_API.PyUFunc_RegisterLoopForType(
                    py,
                    ufunc.as_ptr().cast::<PyUFuncObject>(),
                    number,
                    Some(self.shim),
                    numbers.as_mut_ptr(),
                    data(dtypes),
                )
            };
            if failed != 0 {
                return Err(PyErr::fetch(py));
            }
        }
        // From NumPy 2.2 on a ufunc has a module; before that pickle finds it by searching for the name.
        let _ = ufunc.setattr("__module__", PyString::new(py, self.module));
        Ok(ufunc)
    }
}

/// Make an elementwise ufunc.
fn build<'py>(
    py: Python<'py>,
    name: &str,
    module: &str,
    doc: &str,
    kernels: Kernels,
    bfloat16: Option<c_int>,
) -> PyResult<Bound<'py, PyAny>> {
    let declaration = Declaration {
        name,
        module,
        doc,
        inputs: kernels.inputs,
        signature: None,
        shim,
    };
    declaration.make(py, bfloat16, |dtypes| {
        Box::into_raw(Box::new(Loop {
            kernels,
            dtypes,
            table: Table::default(),
        }))
        .cast()
    })
}

/// A kernel that panics: the tests check that the process survives it.
struct Panics;

impl Function for Panics {
    const INPUTS: usize = 1;

    fn apply<S: Token, V: Lanes<S>>(_: S, _: impl Fn(usize) -> V) -> V {
        panic!("asked to")
    }
}

/// Add a ufunc to `_core` itself. A ufunc pickles by the name it is found under, and Dask sends it so: where
/// the public name is a function over it, this is where it is found.
fn add<'py>(
    module: &Bound<'py, PyModule>,
    name: &str,
    doc: &str,
    kernels: Kernels,
    bfloat16: Option<c_int>,
) -> PyResult<Bound<'py, PyAny>> {
    let place = "actloss_rs._core";
    let ufunc = build(module.py(), name, place, doc, kernels, bfloat16)?;
    module.add(name, &ufunc)?;
    Ok(ufunc)
}

/// Add the ufuncs of the gated units.
fn register_gated(module: &Bound<'_, PyModule>, bfloat16: Option<c_int>) -> PyResult<()> {
    for definition in GATED_UNITS {
        let GatedDefinition { name, doc, .. } = definition;
        add(module, name, doc, definition.value, bfloat16)?;
        for (operand, kernels) in [("a", definition.backward_a), ("b", definition.backward_b)] {
            let doc = format!("The gradient of ``{name}`` with respect to {operand}.");
            let backward_name = format!("{name}_backward_{operand}");
            add(module, &backward_name, &doc, kernels, bfloat16)?;
        }
    }
    Ok(())
}

/// Add the dictionaries `ufuncs` and `backward_ufuncs`, by name, and `parameters`, the defaults.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let bfloat16 = bfloat16(py)?;
    let values = PyDict::new(py);
    let backwards = PyDict::new(py);
    let parameters = PyDict::new(py);
    for Definition {
        name,
        doc,
        parameters: own,
        value,
        backward,
    } in ACTIVATIONS
    {
        let backward_doc = format!(
            "The gradient of ``{name}`` with respect to x: ``dy`` times the derivative at ``x``."
        );
        // Those with parameters or of two forms have a public function over the ufunc.
        let is_public = own.is_empty() && !name.starts_with("gelu");
        let (of_value, of_backward) = if is_public {
            let place = "actloss_rs.backward";
            (
                build(py, name, "actloss_rs", doc, *value, bfloat16)?,
                build(py, name, place, &backward_doc, *backward, bfloat16)?,
            )
        } else {
            let backward_name = format!("{name}_backward");
            (
                add(module, name, doc, *value, bfloat16)?,
                add(module, &backward_name, &backward_doc, *backward, bfloat16)?,
            )
        };
        values.set_item(name, of_value)?;
        backwards.set_item(name, of_backward)?;
        let defaults: Vec<(&str, Option<f64>)> = own.iter().map(|p| (p.name, p.default)).collect();
        parameters.set_item(name, defaults)?;
    }
    register_gated(module, bfloat16)?;
    add(module, "_panics", "Panics.", Kernels::of::<Panics>(), None)?;
    module.add("ufuncs", values)?;
    module.add("backward_ufuncs", backwards)?;
    module.add("parameters", parameters)
}
