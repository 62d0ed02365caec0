"""A loss as the objective of a gradient booster: `gradient_hessian` is what Newton boosting asks for.

XGBoost's scikit-learn interface takes the function `objective` below as it is, and so does LightGBM's:

    xgboost.XGBClassifier(objective=objective)
    lightgbm.LGBMClassifier(objective=objective)

To run without either, this example boosts one-level trees in NumPy, on scikit-learn's breast cancer data.
"""

import importlib.util

import numpy as np
from sklearn.datasets import load_breast_cancer

import actloss_rs as al

loss = al.losses.BinaryCrossentropy(from_logits=True)


def objective(y_true, y_pred):
    """First and second derivative of each sample's loss with respect to its raw score."""
    return loss.gradient_hessian(y_true, y_pred)


def best_stump(x, order, g, h, ridge=1.0):
    """The split of one feature that lowers the loss's second-order expansion most, with its two leaves."""
    g_left = np.cumsum(g[order], axis=0)[:-1]
    h_left = np.cumsum(h[order], axis=0)[:-1]
    g_right, h_right = g.sum() - g_left, h.sum() - h_left
    gain = g_left**2 / (h_left + ridge) + g_right**2 / (h_right + ridge)
    ordered = np.take_along_axis(x, order, axis=0)
    gain[ordered[1:] == ordered[:-1]] = -np.inf  # no split between equal values
    row, feature = np.unravel_index(gain.argmax(), gain.shape)
    threshold = (ordered[row, feature] + ordered[row + 1, feature]) / 2
    left = -g_left[row, feature] / (h_left[row, feature] + ridge)
    right = -g_right[row, feature] / (h_right[row, feature] + ridge)
    return feature, threshold, left, right


def main():
    """Boost, test, and do the same in XGBoost where it is installed."""
    x, y = load_breast_cancer(return_X_y=True)
    test = np.random.default_rng(0).permutation(len(y)) % 5 == 0
    order = np.argsort(x[~test], axis=0, kind="stable")

    scores, test_scores = np.zeros((~test).sum()), np.zeros(test.sum())
    for _ in range(100):
        g, h = objective(y[~test], scores)
        feature, threshold, left, right = best_stump(x[~test], order, g, h)
        scores += 0.3 * np.where(x[~test, feature] <= threshold, left, right)
        test_scores += 0.3 * np.where(x[test, feature] <= threshold, left, right)

    accuracy = np.mean(al.predict_binary(test_scores, from_logits=True) == y[test])
    print(f"boosted stumps  loss {loss(y[test], test_scores):.4f}  accuracy {accuracy:.4f}  (held out)")
    assert accuracy >= 0.94

    if importlib.util.find_spec("xgboost"):
        import xgboost

        model = xgboost.XGBClassifier(objective=objective, n_estimators=50).fit(x[~test], y[~test])
        margin = model.predict(x[test], output_margin=True)
        print(f"XGBoost         loss {loss(y[test], margin.astype(np.float64)):.4f}")


if __name__ == "__main__":
    main()
