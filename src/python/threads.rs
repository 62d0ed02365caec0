//! `get_num_threads` and `set_num_threads`.

use crate::driver::threads;
use pyo3::exceptions::{PyImportError, PyValueError};
use pyo3::prelude::*;

/// Threads that one call may use, the calling thread included.
#[pyfunction]
fn get_num_threads() -> usize {
    threads::num_threads()
}

/// Let one call use up to `n` threads. Results do not depend on it.
#[pyfunction]
#[pyo3(signature = (n, /))]
fn set_num_threads(n: isize) -> PyResult<()> {
    match usize::try_from(n) {
        Ok(threads) if threads > 0 => {
            threads::set_num_threads(threads);
            Ok(())
        }
        _ => Err(PyValueError::new_err(format!(
            "n must be at least 1, got {n}"
        ))),
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    if let Ok(request) = std::env::var("ACTLOSS_NUM_THREADS")
        && !request.is_empty()
    {
        match request.parse::<usize>() {
            Ok(threads) if threads > 0 => threads::set_num_threads(threads),
            _ => {
                return Err(PyImportError::new_err(format!(
                    "ACTLOSS_NUM_THREADS={request:?} is not a positive whole number"
                )));
            }
        }
    }
    module.add_function(wrap_pyfunction!(get_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(set_num_threads, module)?)
}
