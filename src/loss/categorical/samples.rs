//! Labels and weights of the samples: read, checked, added up.

use super::labels::{LabelSums, sum_row};
use super::pass::{KeepGoing, Pass, Worker};
use crate::driver::rows::Row;
use crate::lanes::Token;
use crate::loss::{Argument, Found, LossError, Refusal, Totals};
use crate::reduction::exact::ExactSum;
use std::ops::Range;

/// How much of the samples is looked at before the pass itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Survey {
    /// What decides over the weights.
    Weights,
    /// Everything that may be refused.
    All,
}

impl<S: Token> Pass<'_, S> {
    /// Check what can be refused, and add up the weights.
    pub(super) fn survey(
        &self,
        survey: Survey,
        keep_going: KeepGoing<'_>,
    ) -> Result<Totals, LossError> {
        let settings = &self.settings;
        let dense_weights = !settings.sparse && settings.class_weight.is_some();
        let of_rows =
            dense_weights || survey == Survey::All && !(settings.sparse && settings.from_logits);
        let mut totals = self.for_each_range(keep_going, |worker: &mut Worker<f32>, range| {
            self.read_labels(worker, range.clone());
            for (i, sample) in range.clone().enumerate() {
                let Some(label) = self.label(worker, i, sample).map_err(at(sample))? else {
                    worker.weights[i] = 0.0;
                    continue;
                };
                let mut sums = LabelSums::default();
                let row = Row::of(sample, self.classes);
                let is_plain = |worker: &mut Worker<f32>| {
                    settings.class_weight.is_none()
                        && if self.batch.double {
                            self.has_plain_labels::<f64>(row, &mut worker.buffers.y_true)
                        } else {
                            self.has_plain_labels::<f32>(row, &mut worker.labels.0.x)
                        }
                };
                if of_rows && !is_plain(worker) {
                    sums = sum_row(self.simd, settings, self.batch, row, &mut worker.buffers)
                        .map_err(at(sample))?;
                }
                self.weigh(worker, i, sample, label, sums.weight)
                    .map_err(at(sample))?;
                worker.totals.count += 1;
            }
            if self.has_weights() {
                let weights = &worker.weights[..range.len()];
                worker.totals.weight.add_f64_slice(self.simd, weights);
            }
            Ok(())
        })?;
        if !self.has_weights() {
            totals.weight = ExactSum::from(totals.count);
        }
        Ok(totals)
    }

    /// Read class ids and weights of a range of samples.
    pub(super) fn read_labels<T>(&self, worker: &mut Worker<T>, range: Range<usize>) {
        let n = range.len();
        if self.settings.sparse {
            worker.ids.resize(n.max(worker.ids.len()), 0);
            let ids = &mut worker.ids[..n];
            self.batch
                .y_true
                .read_class_ids(self.simd, range.start, ids);
        }
        worker.weights.resize(n.max(worker.weights.len()), 1.0);
        match &self.batch.sample_weight {
            Some(weights) => weights.read(self.simd, range.start, &mut worker.weights[..n]),
            None => worker.weights[..n].fill(1.0),
        }
    }

    /// The label of the `i`-th sample of a range; `None` if it is ignored.
    #[inline(always)]
    pub(super) fn label<T>(
        &self,
        worker: &Worker<T>,
        i: usize,
        sample: usize,
    ) -> Result<Option<usize>, Refusal> {
        if !self.settings.sparse {
            return Ok(Some(0));
        }
        let id = worker.ids[i];
        if self.settings.ignore_class == Some(id) {
            return Ok(None);
        }
        match usize::try_from(id) {
            Ok(class) if class < self.classes => Ok(Some(class)),
            _ => Err(Refusal {
                argument: Argument::YTrue,
                position: sample,
                found: Found::ClassId {
                    id,
                    classes: self.classes,
                },
            }),
        }
    }

    /// The weight of a sample, kept in its place: its own times that of its class.
    #[inline(always)]
    pub(super) fn weigh<T>(
        &self,
        worker: &mut Worker<T>,
        i: usize,
        sample: usize,
        class: usize,
        of_classes: f64,
    ) -> Result<f64, Refusal> {
        let own = worker.weights[i];
        if own < 0.0 {
            return Err(Refusal {
                argument: Argument::SampleWeight,
                position: sample,
                found: Found::Negative(own),
            });
        }
        if let Some(weights) = self.settings.class_weight {
            worker.weights[i] = own
                * if self.settings.sparse {
                    weights[class]
                } else {
                    of_classes
                };
        }
        Ok(worker.weights[i])
    }
}

/// A refusal with the sample it belongs to.
pub(super) fn at(sample: usize) -> impl FnOnce(Refusal) -> (usize, Refusal) {
    move |refusal| (sample, refusal)
}
