//! Rows of logits that wait for their logarithms, which are taken of many rows at a time, as is what follows.

use super::Settings;
use super::labels::LabelSums;
use super::pass::BATCH;
use crate::lanes::Token;
use crate::loss::twofold::{Twofold, TwofoldLanes};
use crate::reduction::batch_statistics::{BatchStatistics, eight, put};
use crate::reduction::row_sums::RowReal;
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

/// What the losses of a batch of rows are made of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pending {
    pub(super) statistics: BatchStatistics<BATCH>,
    pub(super) sums: [LabelSums; BATCH],
}

/// The losses of a batch of rows, in two parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values {
    pub(super) high: [f64; BATCH],
    pub(super) low: [f64; BATCH],
}

impl Default for Values {
    fn default() -> Self {
        Self {
            high: [0.0; BATCH],
            low: [0.0; BATCH],
        }
    }
}

impl Values {
    /// Make a value the `i`-th.
    #[inline(always)]
    pub(super) fn set(&mut self, i: usize, value: Twofold) {
        (self.high[i], self.low[i]) = (value.high, value.low);
    }
}

impl Pending {
    /// The loss, given `log sum e^(z - maximum)`.
    #[inline(always)]
    fn value(
        &self,
        i: usize,
        settings: &Settings<'_>,
        classes: usize,
        log_sum: Twofold,
    ) -> Twofold {
        let statistics = &self.statistics;
        if !statistics.has_probabilities(i) {
            return Twofold::from(f64::NAN);
        }
        let maximum = Twofold::from(statistics.maximum[i]);
        let sums = &self.sums[i];
        let labels = sums.labels;
        let smoothing = settings.label_smoothing;
        let mut value = if maximum.high == f64::INFINITY {
            // The limit: no loss if all labels are where the infinity is.
            let elsewhere = sums.besides_infinity || (smoothing > 0.0 && classes > 1);
            if labels.high.is_nan() {
                labels
            } else if elsewhere {
                Twofold::from(f64::INFINITY)
            } else {
                Twofold::default()
            }
        } else {
            // sum y (m - z)
            let below = settings.tempered(maximum.times(labels).minus(sums.products));
            if smoothing > 0.0 {
                let share = Twofold::from(smoothing / classes as f64);
                let all = maximum.times(Twofold::from(classes as f64)).minus(sums.all);
                let all = settings.tempered(all);
                let mass = settings.kept(labels).plus(Twofold::from(smoothing));
                settings
                    .kept(below)
                    .plus(share.times(all))
                    .plus(mass.times(log_sum))
            } else {
                below.plus(labels.times(log_sum))
            }
        };
        if settings.z_loss > 0.0 {
            let log_sum_of_row = settings.tempered(maximum).plus(log_sum);
            let square = log_sum_of_row.times(log_sum_of_row);
            value = value.plus(square.times(Twofold::from(settings.z_loss)));
        }
        value
    }

    /// The losses of eight rows from `first` on, if they are finite logits without smoothing, `z_loss` or temperature.
    #[inline(always)]
    fn plain_values<S: Token>(
        &self,
        simd: S,
        (first, sparse): (usize, bool),
        log_sums: TwofoldLanes<S>,
    ) -> TwofoldLanes<S> {
        let part = |of: fn(&LabelSums) -> f64| {
            f64x8::from_fn(
                simd,
                #[inline(always)]
                |i| of(&self.sums[first + i]),
            )
        };
        let maximum = TwofoldLanes {
            high: eight(simd, &self.statistics.maximum, first),
            low: f64x8::splat(simd, 0.0),
        };
        let mut products = TwofoldLanes {
            high: part(|sums| sums.products.high),
            low: maximum.low,
        };
        if sparse {
            // One label of 1: as below, to the bit.
            return maximum.minus(products).plus(log_sums);
        }
        products.low = part(|sums| sums.products.low);
        let labels = TwofoldLanes {
            high: part(|sums| sums.labels.high),
            low: part(|sums| sums.labels.low),
        };
        let below = maximum.times(labels).minus(products);
        below.plus(labels.times(log_sums))
    }

    /// The losses of the first `n` rows.
    #[inline(never)]
    pub(super) fn values<S: Token, T: RowReal>(
        &self,
        simd: S,
        settings: &Settings<'_>,
        classes: usize,
        n: usize,
    ) -> Values {
        let logs = self.statistics.log_sums::<S, T>(simd, n);
        let plain = settings.label_smoothing == 0.0
            && settings.z_loss == 0.0
            && settings.temperature == 1.0;
        let mut values = Values::default();
        simd.vectorize(
            #[inline(always)]
            || {
                for first in (0..n).step_by(8) {
                    let log_sums = TwofoldLanes::new(
                        eight(simd, &logs.high, first),
                        eight(simd, &logs.low, first),
                    );
                    let maximum = eight(simd, &self.statistics.maximum, first);
                    let ordinary =
                        maximum.is_finite() & self.statistics.have_probabilities(simd, first);
                    if plain && ordinary.all_true() {
                        let of_rows = self.plain_values(simd, (first, settings.sparse), log_sums);
                        put(&mut values.high, first, of_rows.high);
                        put(&mut values.low, first, of_rows.low);
                        continue;
                    }
                    for i in first..n.min(first + 8) {
                        let log_sum = Twofold::new(logs.high[i], logs.low[i]);
                        values.set(i, self.value(i, settings, classes, log_sum));
                    }
                }
            },
        );
        values
    }
}
