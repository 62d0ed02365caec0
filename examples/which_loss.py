"""Which activation goes with which loss: five tasks on data that come with scikit-learn.

    task          labels                     output       loss                              decision
    binary        0 or 1                     1 logit      binary_crossentropy               p > 0.5
    multi-class   one-hot rows               C logits     categorical_crossentropy          largest
    multi-class   class ids                  C logits     sparse_categorical_crossentropy   largest
    multi-label   0 or 1 for each label      L logits     binary_crossentropy               p > 0.5, each
    regression    numbers                    1 number     mean_squared_error                the number itself

Networks put out logits, and the losses take them as they are (`from_logits=True`): sigmoid or softmax is
part of the loss then, without the digits it would lose. For probabilities to look at, apply it afterwards.

    python examples/which_loss.py [--plot FILE.svg]     also measures what one-hot labels cost in memory
"""

import argparse
import tracemalloc

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

import actloss_rs as al
from actloss_rs.training import Adam, classifier, constant, train


def split(x, y, rng):
    """Standardised features; a fifth of the samples is held out."""
    x = ((x - x.mean(0)) / (x.std(0) + 1e-9)).astype(np.float32)
    order = rng.permutation(len(x))
    test, training = order[: len(x) // 5], order[len(x) // 5 :]
    return x[training], y[training], x[test], y[test]


def fit(loss, x, y, outputs, rng, steps=300):
    """A network with one hidden layer, trained on the loss."""
    network = classifier([x.shape[1], 32, outputs], "relu", rng)
    train(network, loss, Adam(), constant(3e-3), x, y, rng, steps=steps)
    return network


def binary(rng):
    """Is a tumour benign? One logit; sigmoid makes it a probability, 0.5 decides."""
    data = load_breast_cancer()
    x, y, x_test, y_test = split(data.data, data.target[:, None].astype(np.float32), rng)
    network = fit(al.losses.BinaryCrossentropy(from_logits=True), x, y, 1, rng)
    logits = network(x_test)
    decisions = al.predict_binary(logits, threshold=0.5, from_logits=True)
    assert (decisions == (al.sigmoid(logits) > 0.5)).all()
    return float(np.mean(decisions == y_test))


def one_hot_classes(rng):
    """Which digit? Ten logits, which compete: softmax makes them probabilities that add up to 1."""
    data = load_digits()
    x, y, x_test, y_test = split(data.data, np.eye(10, dtype=np.float32)[data.target], rng)
    network = fit(al.losses.CategoricalCrossentropy(from_logits=True), x, y, 10, rng)
    return float(np.mean(al.softmax(network(x_test)).argmax(1) == y_test.argmax(1)))


def class_ids(rng):
    """The same digits by their class ids: the same loss, the same gradients, and no one-hot rows."""
    data = load_digits()
    x, y, x_test, y_test = split(data.data, data.target, rng)
    network = fit(al.losses.SparseCategoricalCrossentropy(from_logits=True), x, y, 10, rng)
    return float(np.mean(network(x_test).argmax(1) == y_test))


def labels(rng):
    """Three questions about a digit at once: is it even, is it above 4, has it a loop? One sigmoid each."""
    data = load_digits()
    loops = np.isin(data.target, [0, 6, 8, 9])
    y = np.stack([data.target % 2 == 0, data.target > 4, loops], axis=1).astype(np.float32)
    x, y, x_test, y_test = split(data.data, y, rng)
    network = fit(al.losses.BinaryCrossentropy(from_logits=True), x, y, 3, rng)
    return float(np.mean((al.sigmoid(network(x_test)) > 0.5) == y_test))


def regression(rng):
    """How far does diabetes progress? The output is the number: no activation. R^2 on unseen patients."""
    data = load_diabetes()
    mean, scale = data.target.mean(), data.target.std()
    y = ((data.target - mean) / scale)[:, None].astype(np.float32)
    x, y, x_test, y_test = split(data.data, y, rng)
    loss = al.losses.MeanSquaredError()
    network = fit(loss, x, y, 1, rng, steps=60)
    return float(1 - loss(y_test, network(x_test)) / loss(y_test, np.full_like(y_test, y.mean())))


def label_memory(classes, samples=128):
    """Bytes at the peak of making labels and taking the loss, one-hot and as class ids, logits apart."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((samples, classes), dtype=np.float32)
    ids = rng.integers(0, classes, samples)
    peaks, values = [], []
    for sparse in (False, True):
        tracemalloc.start()
        if sparse:
            values.append(al.sparse_categorical_crossentropy(ids.copy(), logits, from_logits=True))
        else:
            one_hot = np.zeros((samples, classes), np.float32)
            one_hot[np.arange(samples), ids] = 1
            values.append(al.categorical_crossentropy(one_hot, logits, from_logits=True))
            del one_hot
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert abs(values[0] - values[1]) < 1e-6 * values[0]
    return peaks


def plot(path, table):
    """Memory against the number of classes, as an SVG, PNG or PDF."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(7, 4.2), layout="constrained")
    axes = page.subplots()
    counts = list(table)
    axes.loglog(
        counts, [dense for dense, _ in table.values()], "o-", label="categorical_crossentropy, one-hot"
    )
    axes.loglog(
        counts, [ids for _, ids in table.values()], "s-", label="sparse_categorical_crossentropy, ids"
    )
    axes.set(
        xlabel="classes", ylabel="bytes at the peak, logits apart", title="What labels cost: 128 samples"
    )
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    page.savefig(path)


def main():
    """Train all five; then measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--plot", metavar="FILE", help="draw the memory of labels here")
    path = parser.parse_args().plot
    for task, what, enough in [
        (binary, "accuracy", 0.9),
        (one_hot_classes, "accuracy", 0.9),
        (class_ids, "accuracy", 0.9),
        (labels, "accuracy per label", 0.9),
        (regression, "R^2", 0.3),
    ]:
        score = task(np.random.default_rng(0))
        print(f"{task.__name__:<16} {what} {score:.3f}   {task.__doc__.splitlines()[0]}")
        assert score > enough
    table = {classes: label_memory(classes) for classes in (10, 100, 1000, 10_000, 100_000)}
    print("\nclasses   one-hot bytes   class-id bytes")
    for classes, (dense, sparse) in table.items():
        print(f"{classes:7,}   {dense:13,}   {sparse:14,}")
    # One-hot rows grow with the number of classes; class ids do not.
    assert table[100_000][0] > 128 * 100_000 * 4
    assert table[100_000][1] < 100_000
    if path:
        plot(path, table)


if __name__ == "__main__":
    main()
