//! What is measured: every activation of the crate, as functions on slices.

use actloss_rs::activation::{Activation, LeakyRelu, Relu};
use actloss_rs::dtype::Real as Element;
use actloss_rs::lanes::{Lanes, Token};
use actloss_rs::level::{Level, OnLevel};
use fearless_simd::prelude::*;
use std::marker::PhantomData;

/// The function itself, or its derivative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// `f(x)`.
    Value,
    /// `f'(x)`: `backward` with an upstream gradient of 1.
    Derivative,
}

/// A loop: inputs, parameters, and results, as many as inputs.
pub type Kernel<T> = Box<dyn Fn(Quantity, &[T], &[T], &mut [T]) + Send + Sync>;

/// An activation on one SIMD level.
pub struct Subject {
    /// The name of the ufunc.
    pub name: &'static str,
    /// The default parameters.
    pub parameters: Vec<f64>,
    /// The `float32` loop.
    pub single: Kernel<f32>,
    /// The `float64` loop, which the 16-bit types go through as well.
    pub double: Kernel<f64>,
}

/// Every activation, on this level.
pub fn subjects(level: Level) -> Vec<Subject> {
    vec![subject::<Relu, 0>(level), subject::<LeakyRelu, 1>(level)]
}

fn subject<A: Activation<P>, const P: usize>(level: Level) -> Subject {
    Subject {
        name: A::NAME,
        parameters: A::PARAMETERS.iter().map(|p| p.default).collect(),
        single: kernel::<A, f32, P>(level),
        double: kernel::<A, f64, P>(level),
    }
}

fn kernel<A: Activation<P>, T: Element, const P: usize>(level: Level) -> Kernel<T> {
    Box::new(move |quantity, x, parameters, y| {
        let activation = PhantomData::<A>;
        let parameters = parameters
            .try_into()
            .expect("the right number of parameters");
        level.dispatch(Run::<A, T, P> {
            quantity,
            x,
            parameters,
            y,
            activation,
        });
    })
}

struct Run<'a, A, T, const P: usize> {
    quantity: Quantity,
    x: &'a [T],
    parameters: [T; P],
    y: &'a mut [T],
    activation: PhantomData<A>,
}

impl<A: Activation<P>, T: Element, const P: usize> OnLevel for Run<'_, A, T, P> {
    type Output = ();

    fn run<S: Token>(self, simd: S) {
        simd.vectorize(
            #[inline(always)]
            || {
                let width = T::Vector::<S>::LEN;
                let parameters = self.parameters.map(|p| T::Vector::<S>::lit(simd, p.into()));
                let one = T::Vector::<S>::lit(simd, 1.0);
                for (x, y) in self.x.chunks(width).zip(self.y.chunks_mut(width)) {
                    let lanes =
                        T::Vector::<S>::from_fn(simd, |i| x.get(i).copied().unwrap_or_default());
                    let result = match self.quantity {
                        Quantity::Value => A::value(simd, lanes, parameters),
                        Quantity::Derivative => A::backward(simd, one, lanes, parameters),
                    };
                    y.copy_from_slice(&result.as_slice()[..y.len()]);
                }
            },
        );
    }
}
