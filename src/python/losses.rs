//! `_core.Loss`, the base of the loss classes, and `_core.evaluate_loss`, behind the loss functions.
//!
//! The Python classes and functions hold the signatures and the documentation; they pass the options on
//! in the order of their declaration in Rust, and everything is checked there.

use super::arrays::asarray;
use super::loss_call::Arguments;
use super::loss_error::option_error;
use super::loss_metric::LossMetric;
use crate::driver::floating_point::FloatingPointGuard;
use crate::driver::operand::OperandMut;
use crate::dtype::Real;
use crate::loss::{
    Definition, LOSSES, Loss, OptionValue, Reduction, SparseCategoricalCrossentropy,
};
use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use std::ops::Sub;
use std::sync::{Arc, Mutex};

type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// A loss with its options.
#[pyclass(name = "Loss", module = "actloss_rs._core", subclass, frozen)]
pub(super) struct PyLoss {
    loss: Arc<dyn Loss>,
    reduction: Reduction,
}

#[pymethods]
impl PyLoss {
    /// The loss called `name`, with the values of all its options.
    #[new]
    #[pyo3(signature = (name, reduction, /, *options))]
    fn new(
        name: &str,
        reduction: &Bound<'_, PyAny>,
        options: &Bound<'_, PyTuple>,
    ) -> PyResult<Self> {
        Ok(Self {
            loss: Arc::from(make_loss(name, options)?),
            reduction: parse_reduction(reduction)?,
        })
    }

    // `var` is the third array of the loss that takes one; its class gives it its place.
    /// The reduced value of the loss, or the per-sample values with ``reduction="none"``.
    #[pyo3(signature = (y_true, y_pred, sample_weight=None, *, var=None))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        y_true: &Bound<'py, PyAny>,
        y_pred: &Bound<'py, PyAny>,
        sample_weight: Option<&Bound<'py, PyAny>>,
        var: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Arguments::new(&*self.loss, y_true, y_pred, sample_weight, var)?.value(
            py,
            &*self.loss,
            self.reduction,
        )
    }

    /// The value, and its gradient with respect to ``y_pred`` (of the sum, with ``reduction="none"``).
    ///
    /// The gradient has the shape of ``y_pred`` and its dtype (float64 for integers). ``out`` receives it
    /// and may be ``y_pred`` itself; a refused call leaves it as it was.
    #[pyo3(signature = (y_true, y_pred, sample_weight=None, *, out=None, var=None))]
    fn value_and_grad<'py>(
        &self,
        py: Python<'py>,
        y_true: &Bound<'py, PyAny>,
        y_pred: &Bound<'py, PyAny>,
        sample_weight: Option<&Bound<'py, PyAny>>,
        out: Option<&Bound<'py, PyAny>>,
        var: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Pair<'py>> {
        Arguments::new(&*self.loss, y_true, y_pred, sample_weight, var)?.value_and_gradient(
            py,
            &*self.loss,
            self.reduction,
            out,
        )
    }

    /// The gradient and the diagonal of the Hessian of each per-sample value, weights applied, not
    /// reduced: what gradient boosting asks for.
    #[pyo3(signature = (y_true, y_pred, sample_weight=None, *, var=None))]
    fn gradient_hessian<'py>(
        &self,
        py: Python<'py>,
        y_true: &Bound<'py, PyAny>,
        y_pred: &Bound<'py, PyAny>,
        sample_weight: Option<&Bound<'py, PyAny>>,
        var: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Pair<'py>> {
        Arguments::new(&*self.loss, y_true, y_pred, sample_weight, var)?
            .gradient_hessian(py, &*self.loss)
    }

    /// A metric that accumulates this loss exactly over any number of batches.
    fn metric(&self) -> PyResult<LossMetric> {
        LossMetric::new(Arc::clone(&self.loss), self.reduction)
    }

    /// The options, as attributes.
    fn __getattr__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        if name == "reduction" {
            return Ok(PyString::intern(py, self.reduction.name()).into_any());
        }
        let found = self.loss.option_names().iter().position(|&n| n == name);
        match found.and_then(|index| self.loss.options().into_iter().nth(index)) {
            Some(value) => option_to_python(py, &value),
            None => Err(PyAttributeError::new_err(format!(
                "{} has no attribute {name:?}",
                self.loss.name()
            ))),
        }
    }

    fn __repr__(this: &Bound<'_, Self>) -> PyResult<String> {
        let options = this.get().keywords(this.py())?;
        let options: Vec<String> = options
            .iter()
            .map(|(name, value)| Ok(format!("{name}={}", value.repr()?)))
            .collect::<PyResult<_>>()?;
        Ok(format!(
            "{}({})",
            this.get_type().name()?,
            options.join(", ")
        ))
    }

    /// For pickle and copy: the keywords that make this loss again.
    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        Ok((PyTuple::empty(py), self.keywords(py)?))
    }
}

impl PyLoss {
    fn keywords<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let keywords = PyDict::new(py);
        let values = self.loss.options();
        for (&name, value) in self.loss.option_names().iter().zip(&values) {
            keywords.set_item(name, option_to_python(py, value)?)?;
        }
        keywords.set_item("reduction", self.reduction.name())?;
        Ok(keywords)
    }
}

/// The value of the loss called `name`: what a loss function does.
#[pyfunction]
#[pyo3(signature = (name, y_true, y_pred, sample_weight, reduction, /, *options))]
fn evaluate_loss<'py>(
    py: Python<'py>,
    name: &str,
    y_true: &Bound<'py, PyAny>,
    y_pred: &Bound<'py, PyAny>,
    sample_weight: Option<&Bound<'py, PyAny>>,
    reduction: &Bound<'py, PyAny>,
    options: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let loss = recent_loss(name, options)?;
    let reduction = parse_reduction(reduction)?;
    Arguments::new(&*loss, y_true, y_pred, sample_weight, None)?.value(py, &*loss, reduction)
}

/// The logarithm of the probability of each label: minus the sparse cross-entropy of its row.
#[pyfunction]
#[pyo3(signature = (y_true, logits, axis, temperature, ignore_class, /))]
fn label_log_probabilities<'py>(
    py: Python<'py>,
    y_true: &Bound<'py, PyAny>,
    logits: &Bound<'py, PyAny>,
    axis: i64,
    temperature: f64,
    ignore_class: Option<i64>,
) -> PyResult<Bound<'py, PyAny>> {
    let loss = SparseCategoricalCrossentropy {
        from_logits: true,
        axis,
        ignore_class,
        temperature,
        ..SparseCategoricalCrossentropy::default()
    };
    loss.check().map_err(|error| option_error(&error))?;
    let arguments = Arguments::named(&loss, y_true, (logits, "logits"), None, None)?;
    let values = arguments.values(py, &loss)?;
    // SAFETY: a new array, in C order.
    let operand = unsafe { values.operand_mut(values.shape(), values.strides()) };
    negate(&operand);
    Ok(values.object.into_any())
}

/// Change the sign of all numbers; that of a certain event is `+0.0`.
fn negate(values: &OperandMut<'_>) {
    fn of<T: Real + Sub<Output = T>>(values: &OperandMut<'_>) -> bool {
        let n = values.len();
        let Some(first) = values.as_mut_ptr::<T>(0, n) else {
            return false;
        };
        let _environment = FloatingPointGuard::new();
        for i in 0..n {
            // SAFETY: `n` consecutive elements, of which nobody else knows.
            unsafe { *first.add(i) = T::default() - *first.add(i) };
        }
        true
    }
    let negated = of::<f32>(values) || of::<f64>(values);
    assert!(
        negated,
        "values are contiguous numbers of a computation type"
    );
}

/// The losses that functions were last called with: most calls repeat the options of one before, and a
/// small batch is evaluated in the time that it takes to check them.
static RECENT: Mutex<Vec<Recent>> = Mutex::new(Vec::new());

/// How many are kept.
const KEPT: usize = 16;

struct Recent {
    name: &'static str,
    /// None, bools, ints and floats only, so that the same objects are the same values.
    options: Vec<Py<PyAny>>,
    loss: Arc<dyn Loss>,
}

/// The loss called `name` with these options, from a call before or made anew.
fn recent_loss(name: &str, options: &Bound<'_, PyTuple>) -> PyResult<Arc<dyn Loss>> {
    let is_same = |recent: &Recent| {
        recent.name == name
            && recent.options.len() == options.len()
            && options
                .iter_borrowed()
                .zip(&recent.options)
                .all(|(option, kept)| option.is(kept))
    };
    // Never waits: no Python code runs while the lock is held, but another thread may have it.
    if let Ok(recent) = RECENT.try_lock()
        && let Some(found) = recent.iter().find(|recent| is_same(recent))
    {
        return Ok(Arc::clone(&found.loss));
    }
    let loss: Arc<dyn Loss> = Arc::from(make_loss(name, options)?);
    let is_fixed = |option: Borrowed<'_, '_, PyAny>| {
        option.is_none()
            || option.is_exact_instance_of::<PyBool>()
            || option.is_exact_instance_of::<PyInt>()
            || option.is_exact_instance_of::<PyFloat>()
    };
    if options.iter_borrowed().all(is_fixed) {
        let entry = Recent {
            name: loss.name(),
            options: options.iter().map(Bound::unbind).collect(),
            loss: Arc::clone(&loss),
        };
        if let Ok(mut recent) = RECENT.try_lock() {
            // Numbers made for a call never come back: the latest take the place of each other.
            let place = recent.len().min(KEPT - 1);
            recent.truncate(place);
            recent.push(entry);
        }
    }
    Ok(loss)
}

fn make_loss(name: &str, options: &Bound<'_, PyTuple>) -> PyResult<Box<dyn Loss>> {
    let definition = Definition::find(name)
        .ok_or_else(|| PyValueError::new_err(format!("there is no loss called {name:?}")))?;
    let values: Vec<OptionValue> = options
        .iter_borrowed()
        .enumerate()
        .map(|(index, value)| {
            option_from_python(&value, definition.options.get(index).unwrap_or(&"options"))
        })
        .collect::<PyResult<_>>()?;
    (definition.new)(&values).map_err(|error| option_error(&error))
}

fn parse_reduction(reduction: &Bound<'_, PyAny>) -> PyResult<Reduction> {
    let Ok(name) = reduction.cast::<PyString>() else {
        return Err(PyTypeError::new_err(format!(
            "reduction must be a string, got {}",
            reduction.get_type().name()?
        )));
    };
    let name = name.to_cow()?;
    Reduction::from_name(&name).ok_or_else(|| {
        let known = Reduction::ALL.map(|known| format!("{:?}", known.name()));
        PyValueError::new_err(format!(
            "reduction must be one of {}, got {name:?}",
            known.join(", ")
        ))
    })
}

/// The value of an option: a Python or NumPy scalar, or something that converts to a vector.
fn option_from_python(value: &Bound<'_, PyAny>, name: &str) -> PyResult<OptionValue> {
    if value.is_none() {
        return Ok(OptionValue::None);
    }
    if let Ok(flag) = value.cast_exact::<PyBool>() {
        return Ok(OptionValue::Bool(flag.is_true()));
    }
    if value.is_exact_instance_of::<PyFloat>() {
        return Ok(OptionValue::Float(value.extract()?));
    }
    if value.is_exact_instance_of::<PyInt>() {
        return value.extract().map(OptionValue::Int).map_err(|_| {
            PyValueError::new_err(format!("{name} must fit into 64 bits, got {value}"))
        });
    }
    let array = asarray(value)?;
    let kind: String = array.getattr("dtype")?.getattr("kind")?.extract()?;
    let rank: usize = array.getattr("ndim")?.extract()?;
    let unsuitable = || match value.get_type().name() {
        Ok(found) => PyTypeError::new_err(format!(
            "{name} cannot be of type {found}: options are bools, numbers or arrays of one number for each class"
        )),
        Err(error) => error,
    };
    match (kind.as_str(), rank) {
        ("b" | "i" | "u" | "f", 0) => option_from_python(&array.call_method0("item")?, name),
        ("V", 0) => Ok(OptionValue::Float(
            array.call_method1("astype", ("f8",))?.extract()?,
        )),
        ("b" | "i" | "u" | "f" | "V", 1) => {
            let numbers = array
                .call_method1("astype", ("f8",))
                .map_err(|_| unsuitable())?
                .call_method0("tolist")?;
            Ok(OptionValue::Floats(numbers.extract()?))
        }
        ("b" | "i" | "u" | "f", rank) => Err(PyValueError::new_err(format!(
            "{name} must be one-dimensional, got {rank} dimensions"
        ))),
        _ => Err(unsuitable()),
    }
}

fn option_to_python<'py>(py: Python<'py>, value: &OptionValue) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        OptionValue::None => py.None().into_bound(py),
        OptionValue::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        OptionValue::Int(integer) => integer.into_pyobject(py)?.into_any(),
        OptionValue::Float(number) => PyFloat::new(py, *number).into_any(),
        OptionValue::Floats(numbers) => PyList::new(py, numbers)?.into_any(),
    })
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    // Name -> option names with their default values: what the Python signatures are tested against.
    let losses = PyDict::new(py);
    for definition in LOSSES {
        let options = PyDict::new(py);
        for (&name, value) in definition.options.iter().zip((definition.defaults)()) {
            options.set_item(name, option_to_python(py, &value)?)?;
        }
        losses.set_item(definition.name, options)?;
    }
    module.add("losses", losses)?;
    module.add_class::<PyLoss>()?;
    module.add_class::<LossMetric>()?;
    module.add_function(wrap_pyfunction!(label_log_probabilities, module)?)?;
    module.add_function(wrap_pyfunction!(evaluate_loss, module)?)
}
