//! One call of a loss from Python: shapes and types checked once, operands made, the GIL released.

use super::arrays::{Array, float64, tuple};
use super::loss_error::{Context, loss_error};
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::Operand;
use crate::dtype::Dtype;
use crate::level::Level;
use crate::loss::{Batch, Labels, Loss, Reduction, Request, Totals};
use pyo3::exceptions::{PyNotImplementedError, PyRuntimeWarning, PyTypeError, PyValueError};
use pyo3::prelude::*;
use std::borrow::Cow;
use std::cell::RefCell;

/// Elements from which on the GIL is released: less work than that is done sooner than another thread
/// could make use of it.
const RELEASE_GIL_FROM: usize = 1 << 11;

/// The arguments of a call, checked against each other.
pub(super) struct Arguments<'py> {
    y_true: Array<'py>,
    y_pred: Array<'py>,
    /// What the caller knows `y_pred` as.
    prediction: &'static str,
    sample_weight: Option<Array<'py>>,
    /// The further operand that the loss takes, by its name.
    operand: Option<(&'static str, Array<'py>)>,
    labels: Labels,
    /// The class axis of `y_pred`.
    axis: usize,
    classes: usize,
    /// The shape of the per-sample values.
    samples: Vec<usize>,
    /// The computation type.
    computation: Dtype,
}

impl<'py> Arguments<'py> {
    pub(super) fn new(
        loss: &dyn Loss,
        y_true: &Bound<'py, PyAny>,
        y_pred: &Bound<'py, PyAny>,
        sample_weight: Option<&Bound<'py, PyAny>>,
        var: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        Self::named(loss, y_true, (y_pred, "y_pred"), sample_weight, var)
    }

    /// The same, where errors call the predictions by another name.
    pub(super) fn named(
        loss: &dyn Loss,
        y_true: &Bound<'py, PyAny>,
        (y_pred, prediction): (&Bound<'py, PyAny>, &'static str),
        sample_weight: Option<&Bound<'py, PyAny>>,
        var: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let y_true = Array::new(y_true, "y_true")?;
        let y_pred = Array::new(y_pred, prediction)?;
        let sample_weight = sample_weight
            .map(|weight| Array::new(weight, "sample_weight"))
            .transpose()?;
        let operand = match (loss.operand(), var) {
            (None, None) => None,
            (Some(name), Some(var)) => Some((name, Array::new(var, name)?)),
            (Some(name), None) => {
                return Err(PyTypeError::new_err(format!(
                    "{} needs {name}",
                    loss.name()
                )));
            }
            (None, Some(_)) => {
                return Err(PyTypeError::new_err(format!(
                    "{} takes no var",
                    loss.name()
                )));
            }
        };
        let labels = loss.labels();
        let (axis, classes) = match labels {
            Labels::Elements => (0, 1),
            Labels::Distribution | Labels::ClassIds => {
                class_axis(loss.axis(), y_pred.shape(), prediction)?
            }
            Labels::Samples => (0, elements_of_sample(y_pred.shape(), prediction)?),
        };
        let mut samples = y_pred.shape().to_vec();
        if labels.along_axis() {
            samples.remove(axis);
        } else if labels == Labels::Samples {
            samples.truncate(1);
        }
        let promoted = loss.promotes() && y_true.dtype == Dtype::Float64 && !y_true.weak;
        let double = !y_pred.dtype.is_float() || y_pred.dtype == Dtype::Float64 || promoted;
        let arguments = Self {
            y_true,
            y_pred,
            prediction,
            sample_weight,
            operand,
            labels,
            axis,
            classes,
            samples,
            computation: if double {
                Dtype::Float64
            } else {
                Dtype::Float32
            },
        };
        arguments.check_labels()?;
        arguments.check_weight()?;
        arguments.check_operand()?;
        Ok(arguments)
    }

    fn check_labels(&self) -> PyResult<()> {
        let (y_true, y_pred) = (self.y_true.shape(), self.y_pred.shape());
        let prediction = self.prediction;
        match self.labels {
            Labels::Elements if y_true.is_empty() || y_true == y_pred => Ok(()),
            Labels::Distribution | Labels::Samples if y_true == y_pred => Ok(()),
            Labels::Elements | Labels::Distribution | Labels::Samples => {
                let column = |a: &[usize], b: &[usize]| match (a, b) {
                    (&[n], &[m, 1]) | (&[m, 1], &[n]) => n == m,
                    _ => false,
                };
                Err(PyValueError::new_err(format!(
                    "y_true has shape {} but {prediction} has shape {}{}",
                    tuple(y_true),
                    tuple(y_pred),
                    if self.labels == Labels::Distribution && self.are_class_ids(y_true) {
                        "; they must be equal, a probability for each class: class ids are for \
                         sparse_categorical_crossentropy"
                    } else if column(y_true, y_pred) {
                        ": a vector against a column, which NumPy would broadcast to a matrix; reshape \
                         one of them, as with .ravel()"
                    } else {
                        "; they must be equal"
                    }
                )))
            }
            Labels::ClassIds => {
                if self.y_true.dtype.is_float() {
                    return Err(PyTypeError::new_err(format!(
                        "y_true has dtype {}, but class ids are integers: pass y_true.astype(int), or \
                         one-hot labels to categorical_crossentropy",
                        self.y_true.dtype.name()
                    )));
                }
                if self.are_class_ids(y_true) {
                    return Ok(());
                }
                Err(PyValueError::new_err(format!(
                    "y_true has shape {} but {prediction} has shape {}: with the classes along axis {} the class \
                     ids must have shape {} or {}{}",
                    tuple(y_true),
                    tuple(y_pred),
                    self.axis,
                    tuple(&self.samples),
                    tuple(&self.samples_with_axis()),
                    if y_true == y_pred {
                        "; one-hot labels are for categorical_crossentropy"
                    } else {
                        ""
                    },
                )))
            }
        }
    }

    /// Whether `shape` is that of one class id a sample.
    fn are_class_ids(&self, shape: &[usize]) -> bool {
        shape == self.samples || shape == self.samples_with_axis()
    }

    /// The shape of the samples with length 1 along the classes.
    fn samples_with_axis(&self) -> Vec<usize> {
        let (before, after) = self.samples.split_at(self.axis);
        [before, &[1], after].concat()
    }

    /// The further operand has a number for each element, or one for several.
    fn check_operand(&self) -> PyResult<()> {
        let Some((name, operand)) = &self.operand else {
            return Ok(());
        };
        let (shape, full) = (operand.shape(), self.y_pred.shape());
        let repeated = shape.len() == full.len()
            && shape.last() == Some(&1)
            && shape[..shape.len() - 1] == full[..shape.len() - 1];
        if repeated || full.starts_with(shape) {
            return Ok(());
        }
        Err(PyValueError::new_err(format!(
            "{name} has shape {}; expected that of y_pred, {}, or of its leading axes, or with length 1 \
             along the last axis",
            tuple(shape),
            tuple(full)
        )))
    }

    fn check_weight(&self) -> PyResult<()> {
        match &self.sample_weight {
            Some(weight) if !self.samples.starts_with(weight.shape()) => {
                Err(PyValueError::new_err(format!(
                    "sample_weight has shape {}; expected the shape of the per-sample values, {}, or of \
                     their leading axes",
                    tuple(weight.shape()),
                    tuple(&self.samples)
                )))
            }
            _ => Ok(()),
        }
    }

    /// The type of the gradient.
    fn gradient_dtype(&self) -> Dtype {
        if self.y_pred.dtype.is_float() {
            self.y_pred.dtype
        } else {
            Dtype::Float64
        }
    }

    /// An array of `y_pred`'s shape, with the class axis moved to the end.
    fn rows<'a>(&self, array: &'a Array<'py>) -> (Cow<'a, [usize]>, Cow<'a, [isize]>) {
        let (shape, strides) = (array.shape(), array.strides());
        if !self.labels.along_axis() || self.axis + 1 == shape.len() {
            return (shape.into(), strides.into());
        }
        let (mut shape, mut strides) = (shape.to_vec(), strides.to_vec());
        shape[self.axis..].rotate_left(1);
        strides[self.axis..].rotate_left(1);
        (shape.into(), strides.into())
    }

    /// The batch, with the numbers of an option that has one for each label.
    fn batch<'a>(&'a self, per_label: Option<(&str, &'a [f64])>) -> PyResult<Batch<'a>> {
        let (shape, strides) = self.rows(&self.y_pred);
        // SAFETY: the array's own layout with its axes permuted; it lives in `self`. Writing to it while
        // the GIL is released would be a race of the caller's making, as with any NumPy function.
        let y_pred = unsafe { self.y_pred.operand(&shape, &strides) };
        let y_true = match self.labels {
            Labels::Elements if self.y_true.shape().is_empty() => {
                let nowhere = vec![0; shape.len()];
                // SAFETY: the one element, again and again.
                unsafe { self.y_true.operand(&shape, &nowhere) }
            }
            // An axis of length 1 does not change the order of the elements.
            Labels::Elements | Labels::ClassIds | Labels::Samples => {
                // SAFETY: the array's own layout.
                unsafe {
                    self.y_true
                        .operand(self.y_true.shape(), self.y_true.strides())
                }
            }
            Labels::Distribution => {
                let (shape, strides) = self.rows(&self.y_true);
                // SAFETY: the array's own layout with its axes permuted.
                unsafe { self.y_true.operand(&shape, &strides) }
            }
        };
        let sample_weight = self.sample_weight.as_ref().map(|weight| {
            let mut strides = weight.strides().to_vec();
            strides.resize(self.samples.len(), 0);
            // SAFETY: the array's own layout, repeated along trailing axes.
            unsafe { weight.operand(&self.samples, &strides) }
        });
        let parameter = match (&self.operand, per_label) {
            (Some((_, operand)), _) => {
                let mut strides = operand.strides().to_vec();
                for (stride, &size) in strides.iter_mut().zip(operand.shape()) {
                    if size == 1 {
                        *stride = 0;
                    }
                }
                strides.resize(self.samples.len(), 0);
                // SAFETY: the array's own layout, repeated along axes of length 1 and trailing ones.
                Some(unsafe { operand.operand(&self.samples, &strides) })
            }
            (None, Some((name, values))) => Some(self.per_label(name, values)?),
            (None, None) => None,
        };
        Ok(Batch {
            y_true,
            y_pred,
            parameter,
            sample_weight,
            classes: self.classes,
            double: self.computation == Dtype::Float64,
        })
    }

    /// One number for each index of the last axis, or for all.
    fn per_label<'a>(&self, name: &str, values: &'a [f64]) -> PyResult<Operand<'a>> {
        let shape = self.y_pred.shape();
        let labels = shape.last().copied().unwrap_or(1);
        if values.len() != 1 && values.len() != labels {
            return Err(PyValueError::new_err(format!(
                "{name} has length {}; expected one number, or one for each of the {labels} labels along \
                 the last axis of y_pred, whose shape is {}",
                values.len(),
                tuple(shape)
            )));
        }
        let mut strides = vec![0; shape.len()];
        if let Some(last) = strides.last_mut()
            && values.len() > 1
        {
            *last = size_of::<f64>() as isize;
        }
        let data = values.as_ptr().cast();
        // SAFETY: along the last axis the elements of `values`, or the first one everywhere.
        Ok(unsafe { Operand::new(data, Dtype::Float64, false, shape, &strides) })
    }

    /// Check an `out` array against the arguments.
    fn check_out(&self, out: &Array<'py>) -> PyResult<()> {
        let (shape, dtype) = (self.y_pred.shape(), self.gradient_dtype());
        if out.shape() != shape {
            return Err(PyValueError::new_err(format!(
                "out has shape {}; expected that of y_pred, {}",
                tuple(out.shape()),
                tuple(shape)
            )));
        }
        if out.dtype != dtype {
            return Err(PyTypeError::new_err(format!(
                "out has dtype {}; the gradient has dtype {}",
                out.dtype.name(),
                dtype.name()
            )));
        }
        let inputs = [
            ("y_true", Some(&self.y_true)),
            ("y_pred", Some(&self.y_pred)),
            ("sample_weight", self.sample_weight.as_ref()),
        ];
        let operand = self
            .operand
            .as_ref()
            .map(|(name, array)| (*name, Some(array)));
        for (name, input) in inputs.into_iter().chain(operand) {
            let Some(input) = input else { continue };
            let allowed = name == "y_pred" && out.is_same_as(input);
            if !allowed && out.overlaps(input) {
                return Err(PyValueError::new_err(format!(
                    "out shares memory with {name}; only y_pred itself may be overwritten"
                )));
            }
        }
        Ok(())
    }

    /// Run the loss without the GIL; Ctrl-C and refusals become exceptions.
    fn evaluate(&self, py: Python<'py>, loss: &dyn Loss, request: Request<'_>) -> PyResult<Totals> {
        let batch = self.batch(loss.per_label())?;
        let run = || {
            let _environment = FloatingPointGuard::new();
            let interrupt = RefCell::new(None);
            let keep_going = || no_signal(&interrupt);
            let result = loss.evaluate(Level::current(), &batch, request, &keep_going);
            (result, interrupt.into_inner())
        };
        let (result, interrupt) = if batch.y_pred.len() < RELEASE_GIL_FROM {
            run()
        } else {
            py.detach(run)
        };
        match (result, interrupt) {
            (_, Some(error)) => Err(error),
            (Err(error), None) => Err(loss_error(
                error,
                &Context {
                    y_true: &self.y_true,
                    y_pred: &self.y_pred,
                    prediction: self.prediction,
                    sample_weight: self.sample_weight.as_ref(),
                    operand: self.operand.as_ref().map(|(name, array)| (*name, array)),
                    samples: &self.samples,
                    takes_logits: loss.option_names().contains(&"from_logits"),
                    axis: self.labels.along_axis().then_some(self.axis),
                },
            )),
            (Ok(totals), None) => Ok(totals),
        }
    }

    /// The totals alone.
    pub(super) fn totals(&self, py: Python<'py>, loss: &dyn Loss) -> PyResult<Totals> {
        self.evaluate(py, loss, Request::Value { values: None })
    }

    /// The value of the loss.
    pub(super) fn value(
        &self,
        py: Python<'py>,
        loss: &dyn Loss,
        reduction: Reduction,
    ) -> PyResult<Bound<'py, PyAny>> {
        if reduction != Reduction::None {
            return reduced(py, &self.totals(py, loss)?, reduction);
        }
        Ok(self.values(py, loss)?.object.into_any())
    }

    /// The per-sample values.
    pub(super) fn values(&self, py: Python<'py>, loss: &dyn Loss) -> PyResult<Array<'py>> {
        let values = self.new_values(py)?;
        let request = Request::Value {
            // SAFETY: a new array.
            values: Some(unsafe { values.operand_mut(values.shape(), values.strides()) }),
        };
        self.evaluate(py, loss, request)?;
        Ok(values)
    }

    /// The value of the loss and its gradient.
    pub(super) fn value_and_gradient(
        &self,
        py: Python<'py>,
        loss: &dyn Loss,
        reduction: Reduction,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let gradient = match out {
            None => Array::empty(py, self.y_pred.shape(), self.gradient_dtype())?,
            Some(out) => {
                let out = Array::writable(out)?;
                self.check_out(&out)?;
                out
            }
        };
        let values = (reduction == Reduction::None)
            .then(|| self.new_values(py))
            .transpose()?;
        let (shape, strides) = self.rows(&gradient);
        let request = Request::ValueAndGradient {
            values: values.as_ref().map(|values| {
                // SAFETY: a new array.
                unsafe { values.operand_mut(values.shape(), values.strides()) }
            }),
            // SAFETY: a new array, or one that has been checked; its axes are permuted as y_pred's.
            gradient: unsafe { gradient.operand_mut(&shape, &strides) },
            reduction,
            keep_if_refused: out.is_some(),
        };
        let totals = self.evaluate(py, loss, request)?;
        let value = match values {
            None => reduced(py, &totals, reduction)?,
            Some(values) => values.object.into_any(),
        };
        let gradient = out.map_or_else(|| gradient.object.into_any(), Clone::clone);
        Ok((value, gradient))
    }

    /// First and second derivatives of the per-sample values.
    pub(super) fn gradient_hessian(
        &self,
        py: Python<'py>,
        loss: &dyn Loss,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        if !loss.has_hessian() {
            return Err(PyNotImplementedError::new_err(format!(
                "{} has no Hessian by elements: each second derivative depends on the whole sample",
                loss.name()
            )));
        }
        let gradient = Array::empty(py, self.y_pred.shape(), self.computation)?;
        let hessian = Array::empty(py, self.y_pred.shape(), self.computation)?;
        let (shape, strides) = self.rows(&gradient);
        // SAFETY: two new arrays of one layout, their axes permuted as y_pred's.
        let request = unsafe {
            Request::GradientHessian {
                gradient: gradient.operand_mut(&shape, &strides),
                hessian: hessian.operand_mut(&shape, &strides),
            }
        };
        self.evaluate(py, loss, request)?;
        Ok((gradient.object.into_any(), hessian.object.into_any()))
    }

    fn new_values(&self, py: Python<'py>) -> PyResult<Array<'py>> {
        Array::empty(py, &self.samples, self.computation)
    }
}

/// Whether to go on: no signal has arrived whose handler raises, as Ctrl-C's does.
pub(super) fn no_signal(interrupt: &RefCell<Option<PyErr>>) -> bool {
    Python::attach(|py| match py.check_signals() {
        Ok(()) => true,
        Err(error) => {
            *interrupt.borrow_mut() = Some(error);
            false
        }
    })
}

/// The value of totals, with a warning where it divides by zero.
pub(super) fn reduced<'py>(
    py: Python<'py>,
    totals: &Totals,
    reduction: Reduction,
) -> PyResult<Bound<'py, PyAny>> {
    if totals.lacks_divisor(reduction) {
        let message = if totals.count == 0 {
            c"the loss of no samples is NaN"
        } else {
            c"the loss is NaN: the weights sum to 0"
        };
        PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), message, 1)?;
    }
    let value = {
        let _environment = FloatingPointGuard::new();
        totals.reduce(reduction)
    };
    float64(py, value)
}

/// The class axis of a shape, counted from 0, and its length.
fn class_axis(axis: i64, shape: &[usize], prediction: &str) -> PyResult<(usize, usize)> {
    let rank = shape.len() as i64;
    let from_zero = if axis < 0 { axis + rank } else { axis };
    if !(0..rank).contains(&from_zero) {
        return Err(PyValueError::new_err(format!(
            "axis {axis} is out of range: {prediction} has shape {}",
            tuple(shape)
        )));
    }
    let from_zero = from_zero as usize;
    match shape[from_zero] {
        0 => Err(PyValueError::new_err(format!(
            "{prediction} has no classes: its shape is {} and the classes are along axis {axis}",
            tuple(shape)
        ))),
        classes => Ok((from_zero, classes)),
    }
}

/// How many elements a sample has, over all axes but the first.
fn elements_of_sample(shape: &[usize], prediction: &str) -> PyResult<usize> {
    let message = match shape {
        [] => format!("{prediction} has no axes, but the first one is that of the samples"),
        [_, rest @ ..] => match rest.iter().product() {
            0 => format!(
                "{prediction} has no elements in a sample: its shape is {}",
                tuple(shape)
            ),
            elements => return Ok(elements),
        },
    };
    Err(PyValueError::new_err(message))
}
