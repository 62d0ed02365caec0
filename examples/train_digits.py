"""Train two classifiers of handwritten digits in NumPy, with the losses and activations of actloss_rs.

The data are scikit-learn's 1,797 images of 8 x 8 pixels. The models are those of a textbook:

    softmax regression      logits = x W + b
    two-layer network       logits = relu(x W1 + b1) W2 + b2

Every derivative is a call: `value_and_grad` is the loss and its gradient with respect to the logits, and
`backward.relu` takes a gradient through the hidden layer. The rest is matrix products.

    python examples/train_digits.py            trains both, and tests them on a fifth of the digits, held out
    python examples/train_digits.py --write    also writes the sample of `actloss evaluate --sample digits`:
                                               the network's logits for every digit, each from a network that
                                               was trained on the other four fifths (five networks in all)
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import actloss_rs as al

SAMPLE = Path(__file__).parent.parent / "python" / "actloss_rs" / "data" / "digits.npz"
CLASSES, FIFTHS, SEED = 10, 5, 0

loss = al.losses.SparseCategoricalCrossentropy(from_logits=True)


def stratified_fifths(labels, rng):
    """A number from 0 to 4 for each sample: shuffled, and each class spread evenly over the five."""
    fifths = np.empty(len(labels), int)
    for label in range(CLASSES):
        members = rng.permutation(np.flatnonzero(labels == label))
        fifths[members] = (np.arange(len(members)) + label) % FIFTHS
    return fifths


class SoftmaxRegression:
    """One linear layer."""

    def __init__(self, features, rng):
        self.parameters = [np.zeros((features, CLASSES), np.float32), np.zeros(CLASSES, np.float32)]

    def logits(self, x):
        w, b = self.parameters
        return x @ w + b

    def gradients(self, x, y):
        """The loss of a batch, and its gradient with respect to each parameter."""
        value, dz = loss.value_and_grad(y, self.logits(x))
        return value, [x.T @ dz, dz.sum(axis=0)]


class TwoLayerNetwork:
    """A hidden layer of rectified linear units."""

    def __init__(self, features, rng, hidden=64):
        # He's initialisation keeps the variance of the signal through a rectifier.
        w1 = rng.normal(0, np.sqrt(2 / features), (features, hidden))
        w2 = rng.normal(0, np.sqrt(2 / hidden), (hidden, CLASSES))
        self.parameters = [p.astype(np.float32) for p in (w1, np.zeros(hidden), w2, np.zeros(CLASSES))]

    def logits(self, x):
        w1, b1, w2, b2 = self.parameters
        return al.relu(x @ w1 + b1) @ w2 + b2

    def gradients(self, x, y):
        """The loss of a batch, and its gradient with respect to each parameter, last layer first."""
        w1, b1, w2, b2 = self.parameters
        before = x @ w1 + b1
        hidden = al.relu(before)
        value, dz = loss.value_and_grad(y, hidden @ w2 + b2)
        dhidden = al.backward.relu(dz @ w2.T, before)
        return value, [x.T @ dhidden, dhidden.sum(axis=0), hidden.T @ dz, dz.sum(axis=0)]


def train(model, x, y, rng, epochs=60, batch=32, rate=0.1, momentum=0.9, decay=1e-4):
    """Stochastic gradient descent with momentum, weight decay and a rate that falls to zero."""
    velocities = [np.zeros_like(p) for p in model.parameters]
    for epoch in range(epochs):
        step = np.float32(rate * (1 - epoch / epochs))
        for rows in np.array_split(rng.permutation(len(x)), len(x) // batch):
            _, gradients = model.gradients(x[rows], y[rows])
            for p, v, g in zip(model.parameters, velocities, gradients, strict=True):
                v *= np.float32(momentum)
                v -= step * (g + np.float32(decay) * p)
                p += v
    return model


def main():
    """Train, test, and write the sample if asked to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help=f"write {SAMPLE.name}")
    write = parser.parse_args().write

    digits = load_digits()
    x, y = (digits.data / 16).astype(np.float32), digits.target
    fifths = stratified_fifths(y, np.random.default_rng(SEED))
    test = fifths == 0

    least = {SoftmaxRegression: 0.92, TwoLayerNetwork: 0.96}
    for model_class, bound in least.items():
        rng = np.random.default_rng(SEED)
        model = train(model_class(x.shape[1], rng), x[~test], y[~test], rng)
        logits = model.logits(x[test])
        accuracy = np.mean(logits.argmax(axis=1) == y[test])
        value = loss(y[test], logits)
        print(f"{model_class.__name__:<18} loss {value:.4f}  accuracy {accuracy:.4f}  (held out)")
        assert accuracy >= bound, f"{accuracy} is less than {bound}"

    if write:
        out_of_fold = np.empty((len(x), CLASSES), np.float32)
        for fifth in range(FIFTHS):
            held_out = fifths == fifth
            rng = np.random.default_rng(SEED)
            model = train(TwoLayerNetwork(x.shape[1], rng), x[~held_out], y[~held_out], rng)
            out_of_fold[held_out] = model.logits(x[held_out])
        np.savez(SAMPLE, y_true=y.astype(np.uint8), y_pred=out_of_fold)
        print(f"{SAMPLE.name}: {SAMPLE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
