//! `LossMetric`: a loss accumulated exactly over batches, threads, processes and machines.

use super::loss_call::{Arguments, reduced};
use crate::loss::{Loss, Reduction, Totals, state};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A loss accumulated exactly over batches: made by the ``metric()`` of a loss.
///
/// Any tree of updates and merges, over any split of the samples, gives the bits of one call on the
/// whole. ``to_bytes`` and pickle carry the exact state between processes and machines.
#[pyclass(module = "actloss_rs.losses", frozen)]
pub(super) struct LossMetric {
    loss: Arc<dyn Loss>,
    reduction: Reduction,
    totals: Mutex<Totals>,
}

#[pymethods]
impl LossMetric {
    /// Add a batch; ``var`` for the loss that takes one. A refused batch changes nothing.
    #[pyo3(signature = (y_true, y_pred, sample_weight=None, *, var=None))]
    fn update_state<'py>(
        &self,
        py: Python<'py>,
        y_true: &Bound<'py, PyAny>,
        y_pred: &Bound<'py, PyAny>,
        sample_weight: Option<&Bound<'py, PyAny>>,
        var: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let arguments = Arguments::new(&*self.loss, y_true, y_pred, sample_weight, var)?;
        let totals = arguments.totals(py, &*self.loss)?;
        self.totals().merge(&totals);
        Ok(())
    }

    /// Add the states of other metrics of the same loss and options, which stay as they are.
    fn merge_state(&self, metrics: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut merged = Totals::new();
        for other in metrics.try_iter()? {
            let other = other?;
            let Ok(other) = other.cast::<Self>() else {
                return Err(PyTypeError::new_err(format!(
                    "merge_state takes an iterable of LossMetric, got a {}",
                    other.get_type().name()?
                )));
            };
            let other = other.get();
            if other.definition() != self.definition() {
                return Err(PyValueError::new_err(format!(
                    "metrics of different losses or options do not merge: {} and {}",
                    self.describe(),
                    other.describe()
                )));
            }
            merged.merge(&other.totals());
        }
        self.totals().merge(&merged);
        Ok(())
    }

    /// The reduced value of all samples so far: an ``np.float64``, rounded once.
    fn result<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let totals = self.totals().clone();
        reduced(py, &totals, self.reduction)
    }

    /// Forget all samples.
    fn reset_state(&self) {
        *self.totals() = Totals::new();
    }

    /// The number of samples so far, ignored ones not counted.
    #[getter]
    fn count(&self) -> u64 {
        self.totals().count
    }

    /// The state with the loss and its options: of equal states, equal bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.encoded())
    }

    /// The metric whose ``to_bytes`` these are; ``ValueError`` for foreign or damaged bytes.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> PyResult<Self> {
        let (loss, reduction, totals) = state::decode(data).map_err(PyValueError::new_err)?;
        Ok(Self {
            loss: Arc::from(loss),
            reduction,
            totals: Mutex::new(totals),
        })
    }

    fn __reduce__<'py>(
        this: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let bytes = this.get().to_bytes(this.py());
        Ok((
            this.get_type().getattr("from_bytes")?,
            PyTuple::new(this.py(), [bytes])?,
        ))
    }

    fn __repr__(&self) -> String {
        format!("LossMetric({}, count={})", self.describe(), self.count())
    }
}

impl LossMetric {
    pub(super) fn new(loss: Arc<dyn Loss>, reduction: Reduction) -> PyResult<Self> {
        if reduction == Reduction::None {
            return Err(PyValueError::new_err(
                "a loss with reduction=\"none\" has no metric: its result would be no single value",
            ));
        }
        Ok(Self {
            loss,
            reduction,
            totals: Mutex::new(Totals::new()),
        })
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn encoded(&self) -> Vec<u8> {
        state::encode(&*self.loss, self.reduction, &self.totals())
    }

    /// What two metrics must have in common to be merged.
    fn definition(&self) -> Vec<u8> {
        state::encode(&*self.loss, self.reduction, &Totals::new())
    }

    fn describe(&self) -> String {
        let options: Vec<String> = self
            .loss
            .option_names()
            .iter()
            .zip(self.loss.options())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let reduction = self.reduction.name();
        let separator = if options.is_empty() { "" } else { ", " };
        format!(
            "{}({}{separator}reduction={reduction})",
            self.loss.name(),
            options.join(", ")
        )
    }
}
