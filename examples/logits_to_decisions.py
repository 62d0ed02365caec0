"""After the model: from a batch of logits, as an inference runtime returns them, to decisions."""

import numpy as np

import actloss_rs as al

rng = np.random.default_rng(0)
classes = np.array(["cat", "dog", "owl", "none"])

# One label per image: probabilities into a buffer that is used again, then the likeliest class.
logits = rng.normal(0, 3, (5, 4)).astype(np.float32)
probabilities = np.empty_like(logits)
al.softmax(logits, out=probabilities)
for row, best in zip(probabilities, probabilities.argmax(axis=1), strict=True):
    print(f"{classes[best]:<5} {row[best]:6.1%}")
assert probabilities.dtype == np.float32
np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)

# Channels first, as convolutional networks have them: a softmax over axis 1, on every pixel.
maps = rng.normal(0, 3, (2, 4, 8, 8)).astype(np.float32)
np.testing.assert_array_equal(
    al.softmax(maps, axis=1), np.moveaxis(al.softmax(np.moveaxis(maps, 1, -1)), -1, 1)
)

# Several labels at once: yes or no for each, at a threshold that may differ from one half. From logits
# the decision takes no exponential, and it is the one that the probabilities give.
scores = rng.normal(0, 3, (5, 3)).astype(np.float32)
yes = al.predict_binary(scores, threshold=0.9, from_logits=True)
np.testing.assert_array_equal(yes, al.sigmoid(scores.astype(np.float64)) > 0.9)
print(f"{int(yes.sum())} of {yes.size} labels above 90 %")
