//! Functions along an axis of NumPy arrays; `axis_functions.rs` gives them their names.
//!
//! Functions, not gufuncs: called with no `axis=`, pandas normalises a frame along the wrong axis, and a
//! gufunc knows neither tuples of axes nor `None`. An array is read and written where it lies, whatever
//! its layout; an object with an `__array_ufunc__` of its own (pandas, Dask) gets a gufunc (see
//! `gufunc.rs`), always with `axis=`; everything else goes through `np.asarray`.

use super::arrays::{Array, tuple};
use super::axes::{Axes, Split};
use crate::driver::operand::{Operand, OperandMut};
use crate::dtype::Dtype;
use crate::level::Level;
use crate::reduction::softmax::Rows;
use numpy::PyUntypedArray;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::borrow::Cow;

/// Elements from which on the GIL is released: less work than that is done sooner than another thread
/// could make use of it.
const RELEASE_GIL_FROM: usize = 1 << 11;

/// What an argument is.
enum Input<'py> {
    Array(Array<'py>),
    /// To be dispatched to its own `__array_ufunc__`.
    Foreign,
}

impl<'py> Input<'py> {
    fn new(object: &Bound<'py, PyAny>, argument: &str) -> PyResult<Self> {
        if let Ok(array) = object.cast_exact::<PyUntypedArray>() {
            return Array::of(array.clone(), argument, false).map(Self::Array);
        }
        refuse_masked(object, argument)?;
        if overrides_ufuncs(object)? {
            return Ok(Self::Foreign);
        }
        Array::converted(object, argument).map(Self::Array)
    }

    /// As an array, whatever it is.
    fn array(object: &Bound<'py, PyAny>, argument: &str) -> PyResult<Array<'py>> {
        match Self::new(object, argument)? {
            Self::Array(array) => Ok(array),
            Self::Foreign => Array::converted(object, argument),
        }
    }
}

fn refuse_masked(object: &Bound<'_, PyAny>, argument: &str) -> PyResult<()> {
    static MASKED_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let masked = MASKED_ARRAY.import(object.py(), "numpy.ma", "MaskedArray")?;
    if object.is_instance(masked)? {
        return Err(PyTypeError::new_err(format!(
            "{argument} is a masked array, and a function along an axis would ignore its mask; pass \
             {argument}.filled(-np.inf) to give masked elements no part in it"
        )));
    }
    Ok(())
}

/// Whether the type has an `__array_ufunc__` that is not `ndarray`'s.
fn overrides_ufuncs(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    static ARRAY_UFUNC: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = object.py();
    let name = pyo3::intern!(py, "__array_ufunc__");
    let Some(own) = object.get_type().getattr_opt(name)? else {
        return Ok(false);
    };
    let default = ARRAY_UFUNC.get_or_try_init(py, || {
        let ndarray = py.import("numpy")?.getattr("ndarray")?;
        ndarray.getattr(name).map(Bound::unbind)
    })?;
    Ok(!own.is_none() && !own.is(default))
}

/// The type of the result of an operand: integers give `float64`.
pub(super) fn result_dtype(dtype: Dtype) -> Dtype {
    if dtype.is_float() {
        dtype
    } else {
        Dtype::Float64
    }
}

/// The type that two operands promote to.
fn promote(a: &Array<'_>, b: &Array<'_>) -> Dtype {
    let (left, right) = (result_dtype(a.dtype), result_dtype(b.dtype));
    if a.weak && !b.weak && b.dtype.is_float() {
        return right;
    }
    if b.weak && !a.weak && a.dtype.is_float() {
        return left;
    }
    match (left, right) {
        (left, right) if left == right => left,
        (Dtype::Float64, _) | (_, Dtype::Float64) => Dtype::Float64,
        _ => Dtype::Float32,
    }
}

/// The array to write to, checked, and whether it is a new one.
pub(super) struct Output<'py> {
    /// What the caller gets: `out` itself, where it was given.
    pub(super) array: Array<'py>,
    pub(super) given: Option<Bound<'py, PyAny>>,
}

impl<'py> Output<'py> {
    pub(super) fn new(
        py: Python<'py>,
        out: Option<&Bound<'py, PyAny>>,
        shape: &[usize],
        dtype: Dtype,
    ) -> PyResult<Self> {
        let Some(out) = out else {
            return Ok(Self {
                array: Array::empty(py, shape, dtype)?,
                given: None,
            });
        };
        let array = Array::writable(out)?;
        if array.shape() != shape {
            return Err(PyValueError::new_err(format!(
                "out has shape {}, but the result has shape {}",
                tuple(array.shape()),
                tuple(shape)
            )));
        }
        if !array.dtype.is_float() {
            return Err(PyTypeError::new_err(format!(
                "out has dtype {}, to which the result's dtype {} cannot be cast",
                array.dtype.name(),
                dtype.name()
            )));
        }
        Ok(Self {
            array,
            given: Some(out.clone()),
        })
    }

    /// The array or, for a single number that was not asked into `out`, a NumPy scalar.
    pub(super) fn into_result(self) -> PyResult<Bound<'py, PyAny>> {
        match self.given {
            Some(out) => Ok(out),
            None => self.array.into_scalar_or_array(),
        }
    }
}

/// `input`, or a copy of it where writing `output` could change what is still to be read.
pub(super) fn apart<'a, 'py>(
    input: &'a Array<'py>,
    output: &Array<'py>,
    may_be_the_same: bool,
) -> PyResult<Cow<'a, Array<'py>>> {
    if (may_be_the_same && input.is_same_as(output)) || !input.overlaps(output) {
        return Ok(Cow::Borrowed(input));
    }
    input.copy().map(Cow::Owned)
}

/// Run a kernel, without the GIL where it takes its time.
fn detached(py: Python<'_>, elements: usize, kernel: impl FnOnce() + Send) {
    if elements < RELEASE_GIL_FROM {
        kernel();
    } else {
        py.detach(kernel);
    }
}

pub(super) type Unary = fn(Rows, &Operand<'_>, &OperandMut<'_>);
pub(super) type Binary = fn(Rows, &Operand<'_>, &Operand<'_>, &OperandMut<'_>);

/// A function of `x` with results of its shape, or one for each row if it `reduces`.
pub(super) fn unary<'py>(
    name: &str,
    kernel: Unary,
    x: &Bound<'py, PyAny>,
    axes: &Axes,
    out: Option<&Bound<'py, PyAny>>,
    reduces: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = x.py();
    let x = match (Input::new(x, "x")?, axes) {
        (Input::Array(x), _) => x,
        (Input::Foreign, &Axes::One(axis)) => {
            return super::gufunc::call(name, x, axis, out, reduces);
        }
        (Input::Foreign, _) => Array::converted(x, "x")?,
    };
    let shape = x.shape();
    let split = Split::new(py, axes, shape.len())?;
    let dtype = result_dtype(x.dtype);
    let output = match reduces {
        None => Output::new(py, out, shape, dtype)?,
        Some(keepdims) => Output::new(py, out, &split.reduce(shape, keepdims), dtype)?,
    };
    let rows = Rows {
        level: Level::current(),
        columns: split.columns(shape),
        double: dtype == Dtype::Float64,
    };
    let target = &output.array;
    let source = if output.given.is_some() {
        apart(&x, target, reduces.is_none())?
    } else {
        Cow::Borrowed(&x)
    };
    // SAFETY: the array's own layout with its axes permuted; it lives in `source`. Writing to it while the
    // GIL is released would be a race of the caller's making, as with any NumPy function.
    let operand = unsafe { source.operand(&split.order(shape), &split.order(source.strides())) };
    // SAFETY: the array's own layout, writable, apart from the operand or the same elements in the same
    // order. The axes that a reduction keeps with length 1 do not change the order.
    let result = unsafe {
        if reduces.is_some() {
            target.operand_mut(target.shape(), target.strides())
        } else {
            target.operand_mut(&split.order(shape), &split.order(target.strides()))
        }
    };
    detached(py, operand.len(), || kernel(rows, &operand, &result));
    output.into_result()
}

/// The gradient of such a function: of `dy` and, by the name `argument`, `x` or `y`.
pub(super) fn binary<'py>(
    kernel: Binary,
    dy: &Bound<'py, PyAny>,
    (argument, x): (&str, &Bound<'py, PyAny>),
    axes: &Axes,
    out: Option<&Bound<'py, PyAny>>,
    reduced: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = dy.py();
    let (dy, x) = (Input::array(dy, "dy")?, Input::array(x, argument)?);
    let dtype = promote(&dy, &x);
    let shape = if reduced {
        x.shape().to_vec()
    } else {
        broadcast(&dy, &x, argument)?
    };
    let split = Split::new(py, axes, shape.len())?;
    let output = Output::new(py, out, &shape, dtype)?;
    let rows = Rows {
        level: Level::current(),
        columns: split.columns(&shape),
        double: dtype == Dtype::Float64,
    };
    let target = &output.array;
    let (dy, x) = (apart(&dy, target, !reduced)?, apart(&x, target, true)?);
    let ordered = split.order(&shape);
    let x_strides = stretched(x.strides(), x.shape(), &shape);
    let x_strides = split.order(&x_strides);
    let (dy_shape, dy_strides) = if reduced {
        let kept = split.kept(&shape).into_owned();
        let strides = reduced_strides(&dy, &split, &shape, &kept)?;
        (kept, strides)
    } else {
        let strides = stretched(dy.strides(), dy.shape(), &shape);
        (ordered.to_vec(), split.order(&strides).into_owned())
    };
    // SAFETY: the arrays' own layouts, repeated along the axes they lack and permuted; they live in `dy`
    // and `x`.
    let (dy, x) = unsafe {
        (
            dy.operand(&dy_shape, &dy_strides),
            x.operand(&ordered, &x_strides),
        )
    };
    // SAFETY: the array's own layout permuted, writable, apart from the operands or the very same.
    let result = unsafe { target.operand_mut(&ordered, &split.order(target.strides())) };
    detached(py, x.len(), || kernel(rows, &dy, &x, &result));
    output.into_result()
}

/// The shape that two arrays broadcast to.
fn broadcast(dy: &Array<'_>, x: &Array<'_>, argument: &str) -> PyResult<Vec<usize>> {
    let (a, b) = (dy.shape(), x.shape());
    let length = a.len().max(b.len());
    let at = |shape: &[usize], axis: usize| {
        (axis + shape.len())
            .checked_sub(length)
            .map_or(1, |axis| shape[axis])
    };
    (0..length)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (a, b) if a == b => Ok(a),
            (1, size) | (size, 1) => Ok(size),
            _ => Err(PyValueError::new_err(format!(
                "dy has shape {} and {argument} has shape {}: they cannot be broadcast together",
                tuple(a),
                tuple(b)
            ))),
        })
        .collect()
}

/// The strides of an array of shape `from` when it is broadcast to `to`.
fn stretched(strides: &[isize], from: &[usize], to: &[usize]) -> Vec<isize> {
    let mut result = vec![0; to.len() - from.len()];
    result.extend(
        strides
            .iter()
            .zip(from)
            .map(|(&stride, &size)| if size == 1 { 0 } else { stride }),
    );
    result
}

/// The strides of a `dy` that has one element a row, or broadcasts to that, along the kept axes.
fn reduced_strides(
    dy: &Array<'_>,
    split: &Split,
    shape: &[usize],
    kept: &[usize],
) -> PyResult<Vec<isize>> {
    if dy.shape() == &*split.reduce(shape, true) && kept.len() < shape.len() {
        return Ok(split.kept(dy.strides()).into_owned());
    }
    let own = dy.shape();
    let fits = own.len() <= kept.len()
        && own
            .iter()
            .rev()
            .zip(kept.iter().rev())
            .all(|(&size, &needed)| size == needed || size == 1);
    if fits {
        return Ok(stretched(dy.strides(), own, kept));
    }
    Err(PyValueError::new_err(format!(
        "dy has shape {}, but logsumexp's result has shape {}",
        tuple(own),
        tuple(kept)
    )))
}
