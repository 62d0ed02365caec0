//! The angle between two vectors: `-cos = -sum_c y_c x_c / (|y| |x|)`.
//!
//! Both are first multiplied with the power of two that brings their largest element near 1, so that
//! no square overflows or vanishes. The sums are in two parts, and so are the square root and the quotient:
//! parallel vectors have exactly -1. With a vector of zeros the loss is 0, and so is the gradient.

use super::rows::{At, Elements, RowFormula, RowKernel, RowLoss, RowSum, row_losses};
use super::twofold::Twofold;
use super::{Labels, define_loss};
use crate::lanes::{Lanes, Token};
use fearless_simd::f64x8;
use fearless_simd::prelude::*;

define_loss! {
    "cosine_similarity":
    /// Minus the cosine of the angle between two vectors.
    pub struct CosineSimilarity {
        /// The axis along which the vectors lie.
        axis: i64 = -1,
    }
}

impl RowLoss for CosineSimilarity {
    const LABELS: Labels = Labels::Distribution;
    const HESSIAN: bool = false;

    fn class_axis(&self) -> i64 {
        self.axis
    }

    fn kernel<S: Token>(&self) -> RowKernel<S> {
        RowKernel::of(Cosine)
    }
}

row_losses!(CosineSimilarity);

#[derive(Clone, Copy)]
struct Cosine;

#[derive(Clone, Copy)]
struct CosineRow {
    /// What `y` and `x` are multiplied with.
    scale: (f64, f64),
    value: Twofold,
    /// `sum y x / sum x^2`, scaled.
    projection: Twofold,
    /// `1 / |y|` over `|x|`, scaled; 0 if either is 0.
    inverse: f64,
}

impl RowFormula for Cosine {
    type Row = CosineRow;

    #[inline(always)]
    fn read<S: Token>(self, simd: S, elements: &mut Elements<'_, S>) -> CosineRow {
        let splat = |number| f64x8::splat(simd, number);
        let mut largest = [splat(0.0); 2];
        elements.scan(
            #[inline(always)]
            |at| {
                // A lane that does not count has an element of another one, or 0.
                for (largest, x) in largest.iter_mut().zip([at.y_true, at.y_pred]) {
                    let size = x.abs();
                    *largest = size.simd_gt(*largest).select(size, *largest);
                }
            },
        );
        let scale = largest.map(scale_of);
        let (mut products, zero) = (RowSum::zero(simd), splat(0.0));
        let (mut of_true, mut of_pred) = (products, products);
        elements.scan(
            #[inline(always)]
            |at| {
                let (y, x) = (at.y_true * splat(scale[0]), at.y_pred * splat(scale[1]));
                products.add_product(&at, y, x);
                of_true.add_product(&at, y, y);
                of_pred.add_product(&at, x, x);
            },
        );
        let (product, of_true, of_pred) = (products.total(), of_true.total(), of_pred.total());
        let norms = of_true.times(of_pred).sqrt();
        let mut row = CosineRow {
            scale: (scale[0], scale[1]),
            value: Twofold::default(),
            projection: Twofold::default(),
            inverse: zero[0],
        };
        // NaN, of infinite elements, is not 0.
        if norms.high != 0.0 {
            row.value = Twofold::default().minus(product.over(norms));
            row.projection = product.over(of_pred);
            row.inverse = scale[1] / norms.high;
        }
        row
    }

    #[inline(always)]
    fn value(self, row: &CosineRow) -> Twofold {
        row.value
    }

    /// `-(y - x sum y x / sum x^2) / (|y| |x|)`: for parallel vectors the difference cancels, and is what one
    /// FMA leaves.
    #[inline(always)]
    fn gradient<S: Token>(self, simd: S, row: &CosineRow, at: At<S>) -> f64x8<S> {
        let splat = |number| f64x8::splat(simd, number);
        let (y, x) = (
            at.y_true * splat(row.scale.0),
            at.y_pred * splat(row.scale.1),
        );
        let across = Lanes::fma(splat(row.projection.high), x, -y);
        Lanes::fma(splat(row.projection.low), x, across) * splat(row.inverse)
    }

    #[inline(always)]
    fn hessian<S: Token>(self, _: S, _: &CosineRow, _: At<S>) -> f64x8<S> {
        unreachable!("the second derivatives are not those of single elements")
    }
}

/// The power of two that brings the largest of these near 1; 1 for 0 and for infinity.
fn scale_of<S: Token>(sizes: f64x8<S>) -> f64 {
    let largest = sizes
        .as_slice()
        .iter()
        .fold(0.0, |a: f64, &b| if b > a { b } else { a });
    if largest == 0.0 || largest.is_infinite() {
        return 1.0;
    }
    // Of a subnormal number the exponent field says 0; its square must not vanish, no more.
    let exponent = ((largest.to_bits() >> 52) as i64 - 1023).clamp(-1000, 1000);
    f64::from_bits(((1023 - exponent) as u64) << 52)
}
