//! Samples of few classes, several at once: the usual sparse labels of logits, without smoothing or temperature.

use super::logits::{slope_of_class, without_payload};
use super::pass::{BATCH, Pass, Plan, Summed, Worker};
use super::pending::{PlainSums, Values};
use super::samples::at;
use crate::lanes::Token;
use crate::loss::Refusal;
use crate::reduction::batch_statistics::BatchStatistics;
use crate::reduction::row_statistics::InverseTemperature;
use crate::reduction::rows_side_by_side::{statistics_of_rows, together};
use crate::reduction::scaled_softmax::{Exception, scaled_softmax};

impl<S: Token> Pass<'_, S> {
    /// Whether this batch is for [`Pass::side_by_side`]: all its samples count.
    pub(super) fn is_side_by_side<T: Summed>(
        &self,
        worker: &Worker<T>,
        plan: &Plan<'_>,
        (offset, _, n): (usize, usize, usize),
    ) -> bool {
        let settings = &self.settings;
        settings.sparse
            && settings.from_logits
            && settings.label_smoothing == 0.0
            && settings.inverse_temperature == InverseTemperature::ONE
            && (settings.z_loss == 0.0 || plan.gradient.is_none())
            && plan.hessian.is_none()
            && together(n, self.classes)
            && worker.ids[offset..offset + n].iter().all(|&id| {
                let inside = usize::try_from(id).is_ok_and(|class| class < self.classes);
                inside && settings.ignore_class != Some(id)
            })
    }

    /// Evaluate `n` samples from `first` on, the `offset`-th of the range, whose ids are those of classes.
    pub(super) fn side_by_side<T: Summed>(
        &self,
        worker: &mut Worker<T>,
        plan: &Plan<'_>,
        (offset, first, n): (usize, usize, usize),
    ) -> Result<Values, (usize, Refusal)> {
        let mut statistics = BatchStatistics::default();
        let mut sums = PlainSums::of_classes();
        let mut classes = [0; BATCH];
        let mut factors = [0.0; BATCH];
        let (start, elements) = (first * self.classes, n * self.classes);
        let logits = self.batch.y_pred.as_slice::<T>(start, elements);
        for i in 0..n {
            let sample = first + i;
            classes[i] = usize::try_from(worker.ids[offset + i]).unwrap_or_default();
            let weight = self
                .weigh(worker, offset + i, sample, classes[i], 0.0)
                .map_err(at(sample))?;
            factors[i] = weight * plan.scale;
            // Before the gradient may take its place.
            let logit = match logits {
                Some(logits) => logits[i * self.classes + classes[i]].into(),
                None => self.prediction::<T>(sample * self.classes + classes[i]),
            };
            sums.products.0[i] = logit;
        }
        worker.totals.count += n as u64;
        let (simd, y_pred, place) = (self.simd, &self.batch.y_pred, (first, n));
        let scratch = &mut worker.scratch;
        let state = &mut statistics;
        match &plan.gradient {
            None => statistics_of_rows(simd, y_pred, place, self.classes, scratch, state),
            Some(gradient) => scaled_softmax(
                simd,
                (y_pred, gradient),
                place,
                self.classes,
                (&factors, &classes),
                (scratch, state),
                #[inline(always)]
                |target: Exception<T>, rows: &BatchStatistics<BATCH>| {
                    let (e, i) = (target.exponential, target.row);
                    let slope = slope_of_class::<S, T, _>(e, (rows, i), target.inverse);
                    T::nearest(without_payload(slope * factors[i]))
                },
            ),
        }
        let mut values = Values::default();
        let options = (&self.settings, self.classes);
        PlainSums::losses::<S, T>(simd, options, &statistics, (&sums, None), n, &mut values);
        Ok(values)
    }
}
