//! Layer and RMS normalisation and their gradients.

#![allow(
    clippy::needless_pass_by_value,
    clippy::doc_markdown,
    reason = "a Python function owns its arguments, and its docstring is not Markdown"
)]

use super::super::arrays::Array;
use super::super::axes::{Axes, Split};
use super::super::axis::{Output, apart, result_dtype};
use super::parameter::Parameter;
use super::{check_epsilon, gradient_and_input, input, interruptible};
use crate::driver::operand::{Operand, OperandMut};
use crate::level::Level;
use crate::normalization::rows::Rows;
use pyo3::prelude::*;

/// The rows along some axes, with their parameters.
struct RowCall<'py> {
    x: Array<'py>,
    split: Split,
    columns: Vec<usize>,
    gamma: Parameter<'py>,
    beta: Parameter<'py>,
    centred: bool,
    epsilon: f64,
}

impl<'py> RowCall<'py> {
    fn new(
        x: Array<'py>,
        gamma: Option<&Bound<'py, PyAny>>,
        beta: Option<&Bound<'py, PyAny>>,
        axes: &Axes,
        centred: bool,
        epsilon: f64,
    ) -> PyResult<Self> {
        check_epsilon(epsilon)?;
        let shape = x.shape();
        let split = Split::new(x.object.py(), axes, shape.len())?;
        let kept = split.kept(shape).len();
        let columns = split.order(shape)[kept..].to_vec();
        Ok(Self {
            gamma: Parameter::new(gamma, "gamma", &columns, 1.0)?,
            beta: Parameter::new(beta, "beta", &columns, 0.0)?,
            x,
            split,
            columns,
            centred,
            epsilon,
        })
    }

    fn rows(&self) -> Rows<'_> {
        let columns: usize = self.columns.iter().product();
        let elements: usize = self.x.shape().iter().product();
        Rows {
            level: Level::current(),
            rows: elements.checked_div(columns).unwrap_or(0),
            columns,
            centred: self.centred,
            epsilon: self.epsilon,
            gamma: &self.gamma.values,
            beta: &self.beta.values,
        }
    }

    /// # Safety
    /// As for [`Array::operand`].
    unsafe fn operand<'a>(&self, array: &Array<'_>) -> Operand<'a> {
        let (shape, strides) = (array.shape(), array.strides());
        // SAFETY: the array's own layout, permuted.
        unsafe { array.operand(&self.split.order(shape), &self.split.order(strides)) }
    }

    /// # Safety
    /// As for [`Array::operand_mut`].
    unsafe fn operand_mut<'a>(&self, array: &Array<'_>) -> OperandMut<'a> {
        let (shape, strides) = (array.shape(), array.strides());
        // SAFETY: the array's own layout, permuted.
        unsafe { array.operand_mut(&self.split.order(shape), &self.split.order(strides)) }
    }

    fn forward(&self, out: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let py = self.x.object.py();
        let output = Output::new(py, out, self.x.shape(), result_dtype(self.x.dtype))?;
        let source = apart(&self.x, &output.array, true)?;
        // SAFETY: the arrays live to the end; `output` is writable and apart from `source`, or exactly it.
        let (operand, result) = unsafe { (self.operand(&source), self.operand_mut(&output.array)) };
        let rows = self.rows();
        interruptible(py, |keep_going| {
            rows.normalised(&operand, &result, keep_going)
        })?;
        output.into_result()
    }

    fn backward(
        &self,
        dy: &Array<'py>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<[Bound<'py, PyAny>; 3]> {
        let py = self.x.object.py();
        let dtype = result_dtype(self.x.dtype);
        let output = Output::new(py, out, self.x.shape(), dtype)?;
        let dy = apart(dy, &output.array, true)?;
        let source = apart(&self.x, &output.array, true)?;
        // SAFETY: the arrays live to the end; `output` is writable and apart from the others, or exactly one.
        let (gradient, operand, result) = unsafe {
            (
                self.operand(&dy),
                self.operand(&source),
                self.operand_mut(&output.array),
            )
        };
        let rows = self.rows();
        let (gamma, beta) = interruptible(py, |keep_going| {
            rows.gradient(&gradient, &operand, &result, keep_going)
        })?;
        Ok([
            output.into_result()?,
            self.gamma.gradient(py, &self.columns, dtype, &gamma)?,
            self.gamma.gradient(py, &self.columns, dtype, &beta)?,
        ])
    }
}

/// Layer normalisation: each row to mean 0 and variance 1, times gamma, plus beta.
///
/// Args:
///     x: Array of floats; integers are taken as float64.
///     gamma: A factor for each element of a row; None is 1.
///     beta: A summand for each element of a row; None is 0.
///     axis: The axis, or the tuple of axes, that a row extends over; None is all.
///     epsilon: Added to the variance, which is the biased one.
///     out: Array to write to; it may be x.
///
/// See also: rms_norm, batch_norm, backward.layer_norm.
#[pyfunction]
#[pyo3(
    signature = (x, gamma=None, beta=None, axis=Axes::One(-1), *, epsilon=1e-5, out=None),
    text_signature = "(x, gamma=None, beta=None, axis=-1, *, epsilon=1e-05, out=None)"
)]
pub(super) fn layer_norm<'py>(
    x: &Bound<'py, PyAny>,
    gamma: Option<&Bound<'py, PyAny>>,
    beta: Option<&Bound<'py, PyAny>>,
    axis: Axes,
    epsilon: f64,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    RowCall::new(input(x, "x")?, gamma, beta, &axis, true, epsilon)?.forward(out)
}

/// RMS normalisation: each row over its root mean square, times gamma.
///
/// Args:
///     x: Array of floats; integers are taken as float64.
///     gamma: A factor for each element of a row; None is 1.
///     axis: The axis, or the tuple of axes, that a row extends over; None is all.
///     epsilon: Added to the mean square.
///     out: Array to write to; it may be x.
///
/// See also: layer_norm, backward.rms_norm.
#[pyfunction]
#[pyo3(
    signature = (x, gamma=None, axis=Axes::One(-1), *, epsilon=1e-6, out=None),
    text_signature = "(x, gamma=None, axis=-1, *, epsilon=1e-06, out=None)"
)]
pub(super) fn rms_norm<'py>(
    x: &Bound<'py, PyAny>,
    gamma: Option<&Bound<'py, PyAny>>,
    axis: Axes,
    epsilon: f64,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    RowCall::new(input(x, "x")?, gamma, None, &axis, false, epsilon)?.forward(out)
}

/// The gradients of layer_norm: (dx, dgamma, dbeta), by x, gamma and beta.
///
/// Args:
///     dy: Upstream gradient, of x's shape.
///     x: The input of layer_norm.
///     gamma, axis, epsilon: As for layer_norm; dgamma and dbeta are of gamma's dtype, or of x's.
///     out: Array to write dx to; it may be dy or x.
#[pyfunction(name = "layer_norm")]
#[pyo3(
    signature = (dy, x, gamma=None, axis=Axes::One(-1), *, epsilon=1e-5, out=None),
    text_signature = "(dy, x, gamma=None, axis=-1, *, epsilon=1e-05, out=None)"
)]
pub(super) fn layer_norm_backward<'py>(
    dy: &Bound<'py, PyAny>,
    x: &Bound<'py, PyAny>,
    gamma: Option<&Bound<'py, PyAny>>,
    axis: Axes,
    epsilon: f64,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let (dy, x) = gradient_and_input(dy, x)?;
    let [dx, gamma, beta] =
        RowCall::new(x, gamma, None, &axis, true, epsilon)?.backward(&dy, out)?;
    Ok((dx, gamma, beta))
}

/// The gradients of rms_norm: (dx, dgamma), by x and gamma.
///
/// Args:
///     dy: Upstream gradient, of x's shape.
///     x: The input of rms_norm.
///     gamma, axis, epsilon: As for rms_norm; dgamma is of gamma's dtype, or of x's without it.
///     out: Array to write dx to; it may be dy or x.
#[pyfunction(name = "rms_norm")]
#[pyo3(
    signature = (dy, x, gamma=None, axis=Axes::One(-1), *, epsilon=1e-6, out=None),
    text_signature = "(dy, x, gamma=None, axis=-1, *, epsilon=1e-06, out=None)"
)]
pub(super) fn rms_norm_backward<'py>(
    dy: &Bound<'py, PyAny>,
    x: &Bound<'py, PyAny>,
    gamma: Option<&Bound<'py, PyAny>>,
    axis: Axes,
    epsilon: f64,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let (dy, x) = gradient_and_input(dy, x)?;
    let [dx, gamma, _] = RowCall::new(x, gamma, None, &axis, false, epsilon)?.backward(&dy, out)?;
    Ok((dx, gamma))
}
