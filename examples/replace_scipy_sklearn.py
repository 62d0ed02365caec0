"""The numbers of SciPy and scikit-learn, from one call and without a one-hot matrix."""

import numpy as np
import scipy.special
import sklearn.metrics

import actloss_rs as al

rng = np.random.default_rng(0)
logits = rng.normal(0, 3, (1000, 10))
labels = rng.integers(0, 10, 1000)
weights = rng.random(1000)

# scipy.special.softmax, logsumexp and expit: SciPy's default axis is None, here it is the last.
probabilities = al.softmax(logits)
np.testing.assert_allclose(probabilities, scipy.special.softmax(logits, axis=-1), rtol=1e-13)
np.testing.assert_allclose(al.logsumexp(logits), scipy.special.logsumexp(logits, axis=-1), rtol=1e-13)
np.testing.assert_allclose(al.sigmoid(logits), scipy.special.expit(logits), rtol=1e-14)

# sklearn.metrics.log_loss, weighted or not.
before = sklearn.metrics.log_loss(labels, probabilities, sample_weight=weights, labels=range(10))
after = al.sparse_categorical_crossentropy(labels, probabilities, sample_weight=weights)
np.testing.assert_allclose(after, before, rtol=1e-13)

# From the logits it is one pass, and no probability is rounded to 0 or 1 on the way.
fused = al.sparse_categorical_crossentropy(labels, logits, from_logits=True, sample_weight=weights)
np.testing.assert_allclose(fused, before, rtol=1e-13)

# sklearn.metrics.brier_score_loss and mean_squared_error.
yes, p = labels < 5, al.sigmoid(logits[:, 0])
np.testing.assert_allclose(
    al.mean_squared_error(yes, p), sklearn.metrics.brier_score_loss(yes, p), rtol=1e-13
)

print(f"log_loss {before!r}")
print(f"actloss  {float(after)!r}")
