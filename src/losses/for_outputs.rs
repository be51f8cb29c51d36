use super::Loss;

/// The losses given to `compile`.
#[derive(Debug)]
pub enum Losses {
    /// One for every output.
    Same(Box<dyn Loss>),
    /// One for each output: in the order of the outputs, or all with the names of theirs.
    Each(Vec<(Option<String>, Box<dyn Loss>)>),
}

/// What `compile` takes as its loss: one for every output; a tuple or array of one for each, in order;
/// or a tuple or array of pairs with the outputs' names.
///
/// ```
/// use convnet::prelude::*;
///
/// let x = Input::new(3);
/// let label = x.apply(Dense::new(2).activation(Softmax).name("label"))?;
/// let size = x.apply(Dense::new(1).name("size"))?;
/// let network = || Model::new(&x, [&label, &size]);
/// network()?.compile(Adam::default(), (CategoricalCrossentropy, MeanSquaredError), ());
/// let losses = (("size", MeanSquaredError), ("label", CategoricalCrossentropy));
/// network()?.compile(Adam::default(), losses, [("label", Accuracy)]).loss_weights([1.0, 0.1]);
/// # Ok::<(), convnet::Error>(())
/// ```
pub trait IntoLosses {
    /// The losses, boxed.
    fn into_losses(self) -> Losses;
}

/// A loss, or a pair of an output's name and its loss.
pub trait IntoLoss {
    /// The output's name, and the loss.
    fn into_loss(self) -> (Option<String>, Box<dyn Loss>);
}

impl<L: Loss + 'static> IntoLoss for L {
    fn into_loss(self) -> (Option<String>, Box<dyn Loss>) {
        (None, Box::new(self))
    }
}

impl<L: Loss + 'static> IntoLoss for (&str, L) {
    fn into_loss(self) -> (Option<String>, Box<dyn Loss>) {
        (Some(self.0.to_string()), Box::new(self.1))
    }
}

impl<L: Loss + 'static> IntoLosses for L {
    fn into_losses(self) -> Losses {
        Losses::Same(Box::new(self))
    }
}

impl<L: IntoLoss, const N: usize> IntoLosses for [L; N] {
    fn into_losses(self) -> Losses {
        Losses::Each(self.into_iter().map(L::into_loss).collect())
    }
}

impl IntoLosses for Losses {
    fn into_losses(self) -> Losses {
        self
    }
}

macro_rules! tuples {
    ($($losses:ident)*) => {
        impl<$($losses: IntoLoss),*> IntoLosses for ($($losses,)*) {
            fn into_losses(self) -> Losses {
                #[allow(non_snake_case)]
                let ($($losses,)*) = self;
                Losses::Each(vec![$($losses.into_loss()),*])
            }
        }
    };
}
tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
