//! Parameters of a channel or column, and numbers that go back to such arrays.

use super::super::arrays::{Array, tuple};
use super::super::axis::result_dtype;
use super::input;
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::{Operand, OperandMut};
use crate::dtype::Dtype;
use crate::lanes::Token;
use crate::level::{Level, OnLevel};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A parameter for each channel or column, as `f64`; `fill`, once for all, for one that is not given.
pub(super) struct Parameter<'py> {
    array: Option<Array<'py>>,
    pub(super) values: Vec<f64>,
}

impl<'py> Parameter<'py> {
    pub(super) fn new(
        object: Option<&Bound<'py, PyAny>>,
        name: &str,
        shape: &[usize],
        fill: f64,
    ) -> PyResult<Self> {
        let Some(object) = object else {
            return Ok(Self {
                array: None,
                values: vec![fill],
            });
        };
        let array = input(object, name)?;
        if array.shape() != shape {
            return Err(PyValueError::new_err(format!(
                "{name} has shape {}, but x asks for {}",
                tuple(array.shape()),
                tuple(shape)
            )));
        }
        let _environment = FloatingPointGuard::new();
        let mut values = vec![0.0; shape.iter().product()];
        // SAFETY: the array's own layout; it outlives the call.
        let operand = unsafe { array.operand(array.shape(), array.strides()) };
        Level::current().dispatch(Read {
            operand: &operand,
            values: &mut values,
        });
        Ok(Self {
            array: Some(array),
            values,
        })
    }

    /// A gradient by this parameter: of its type, or of `x`'s where it was not given.
    pub(super) fn gradient(
        &self,
        py: Python<'py>,
        shape: &[usize],
        dtype: Dtype,
        values: &[f64],
    ) -> PyResult<Bound<'py, PyAny>> {
        let dtype = self
            .array
            .as_ref()
            .map_or(dtype, |array| result_dtype(array.dtype));
        let array = Array::empty(py, shape, dtype)?;
        write(&array, values);
        array.into_scalar_or_array()
    }
}

/// Write numbers to an array of as many elements.
pub(super) fn write(array: &Array<'_>, values: &[f64]) {
    let _environment = FloatingPointGuard::new();
    // SAFETY: a writable array in its own layout.
    let target = unsafe { array.operand_mut(array.shape(), array.strides()) };
    Level::current().dispatch(Write { target, values });
}

struct Read<'a> {
    operand: &'a Operand<'a>,
    values: &'a mut [f64],
}

impl OnLevel for Read<'_> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        self.operand.read(simd, 0, self.values);
    }
}

/// The target is known to this thread only, which holds the GIL.
struct Write<'a> {
    target: OperandMut<'a>,
    values: &'a [f64],
}

impl OnLevel for Write<'_> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        // SAFETY: as many values as elements, which no other thread may read or write.
        unsafe { self.target.write(simd, 0, self.values) };
    }
}
