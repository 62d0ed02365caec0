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
    /// The losses of the first `n` rows.
    pub(super) fn values<S: Token, T: RowReal>(
        &self,
        simd: S,
        settings: &Settings<'_>,
        classes: usize,
        n: usize,
        values: &mut Values,
    ) {
        let mut sums = PlainSums::default();
        for (i, of_row) in self.sums[..n].iter().enumerate() {
            let parts = [of_row.labels, of_row.products];
            for (slot, part) in [&mut sums.labels, &mut sums.products]
                .into_iter()
                .zip(parts)
            {
                (slot.0[i], slot.1[i]) = (part.high, part.low);
            }
        }
        let all = (&sums, Some(&self.sums));
        let options = (settings, classes);
        PlainSums::losses::<S, T>(simd, options, &self.statistics, all, n, values);
    }
}

/// What [`LabelSums`] are for each row of a batch of logits without smoothing, their parts apart: to be read and written in
/// lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainSums {
    pub(super) labels: ([f64; BATCH], [f64; BATCH]),
    pub(super) products: ([f64; BATCH], [f64; BATCH]),
}

impl Default for PlainSums {
    fn default() -> Self {
        Self {
            labels: ([0.0; BATCH], [0.0; BATCH]),
            products: ([0.0; BATCH], [0.0; BATCH]),
        }
    }
}

impl PlainSums {
    /// Of one class each, which will have these logits.
    pub(super) fn of_classes() -> Self {
        Self {
            labels: ([1.0; BATCH], [0.0; BATCH]),
            ..Self::default()
        }
    }

    /// Write those of eight rows from `first` on.
    #[inline(always)]
    pub(super) fn put<S: Token>(&mut self, first: usize, [labels, products]: [TwofoldLanes<S>; 2]) {
        put(&mut self.labels.0, first, labels.high);
        put(&mut self.labels.1, first, labels.low);
        put(&mut self.products.0, first, products.high);
        put(&mut self.products.1, first, products.low);
    }

    /// Those of the `i`-th row.
    fn of_row(&self, i: usize) -> LabelSums {
        let [labels, products] = [&self.labels, &self.products].map(|parts| Twofold {
            high: parts.0[i],
            low: parts.1[i],
        });
        LabelSums {
            labels,
            products,
            besides_infinity: products.high != f64::INFINITY,
            ..LabelSums::default()
        }
    }
}

/// The loss, given `log sum e^(z - maximum)`.
#[inline(always)]
fn value(
    (statistics, i): (&BatchStatistics<BATCH>, usize),
    sums: &LabelSums,
    (settings, classes): (&Settings<'_>, usize),
    log_sum: Twofold,
) -> Twofold {
    if !statistics.has_probabilities(i) {
        return Twofold::from(f64::NAN);
    }
    let maximum = Twofold::from(statistics.maximum[i]);
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

impl PlainSums {
    /// The losses of eight rows from `first` on, to the bit where they are finite, and those are of logits without smoothing,
    /// `z_loss` or temperature.
    #[inline(always)]
    fn plain<S: Token>(
        &self,
        simd: S,
        (first, sparse): (usize, bool),
        (maximum, log_sums): (f64x8<S>, TwofoldLanes<S>),
    ) -> TwofoldLanes<S> {
        let part = |parts: &([f64; BATCH], [f64; BATCH])| TwofoldLanes {
            high: eight(simd, &parts.0, first),
            low: eight(simd, &parts.1, first),
        };
        let maximum = TwofoldLanes {
            high: maximum,
            low: f64x8::splat(simd, 0.0),
        };
        let products = part(&self.products);
        if sparse {
            // One label of 1: as below, to the bit.
            return maximum.plus_finite(-products).plus_finite(log_sums);
        }
        let labels = part(&self.labels);
        let below = maximum.times_finite(labels).plus_finite(-products);
        below.plus_finite(labels.times_finite(log_sums))
    }

    /// The losses of the first `n` rows, of which `each` has the sums if there are more than these.
    #[inline(never)]
    pub(super) fn losses<S: Token, T: RowReal>(
        simd: S,
        (settings, classes): (&Settings<'_>, usize),
        statistics: &BatchStatistics<BATCH>,
        (sums, each): (&Self, Option<&[LabelSums; BATCH]>),
        n: usize,
        values: &mut Values,
    ) {
        let logs = statistics.log_sums::<S, T>(simd, n);
        let plain = settings.label_smoothing == 0.0
            && settings.z_loss == 0.0
            && settings.temperature == 1.0;
        simd.vectorize(
            #[inline(always)]
            || {
                for first in (0..n).step_by(8) {
                    let log_sums = TwofoldLanes::new(
                        eight(simd, &logs.high, first),
                        eight(simd, &logs.low, first),
                    );
                    let maximum = eight(simd, &statistics.maximum, first);
                    let place = (first, settings.sparse);
                    let of_rows = sums.plain(simd, place, (maximum, log_sums));
                    let ordinary = statistics.have_probabilities(simd, first);
                    if plain && (ordinary & of_rows.high.is_finite()).all_true() {
                        put(&mut values.high, first, of_rows.high);
                        put(&mut values.low, first, of_rows.low);
                        continue;
                    }
                    for i in first..n.min(first + 8) {
                        let log_sum = Twofold::new(logs.high[i], logs.low[i]);
                        let of_row = each.map_or_else(|| sums.of_row(i), |each| each[i]);
                        let options = (settings, classes);
                        values.set(i, value((statistics, i), &of_row, options, log_sum));
                    }
                }
            },
        );
    }
}
