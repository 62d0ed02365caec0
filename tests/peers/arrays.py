"""The arrays that `docs/migrating.md` names, float64 and far from where a peer's clipping would show."""

from __future__ import annotations

import numpy as np


def arrays() -> dict[str, np.ndarray]:
    """A new copy of every array."""
    rng = np.random.default_rng(20)
    kinks = np.array([-6, -3, -1, -0.5, 0, 0.5, 1, 3, 6, 25], dtype=np.float64)
    x = np.concatenate([kinks, rng.normal(0, 3, 20)]).reshape(5, 6)
    logits = rng.normal(0, 2, (7, 4))
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    ids = np.array([0, 1, 3, 2, 1, 0, 3])
    logit = rng.normal(0, 2, (7, 4))
    target = rng.normal(0, 2, (7, 4))
    amount = rng.uniform(0.2, 4, (7, 4))
    log_rate = rng.normal(0.5, 0.7, (7, 4))
    return {
        "x": x,
        "a": rng.normal(0, 2, (3, 4)),
        "b": rng.normal(0, 2, (3, 4)),
        "slope": np.array([0.25]),
        "target": target,
        "pred": target + rng.normal(0, 1, (7, 4)),
        "var": rng.uniform(0.3, 2, (7, 4)),
        "amount": amount,
        "amounts": rng.uniform(0.2, 4, (7, 4)),
        "forecast": amount * rng.uniform(0.5, 1.5, (7, 4)),
        "count": rng.poisson(3, (7, 4)).astype(np.float64) + 2,
        "rate": np.exp(log_rate),
        "log_rate": log_rate,
        "yes": rng.integers(0, 2, (7, 4)).astype(np.float64),
        "chance": 1 / (1 + np.exp(-logit)),
        "logit": logit,
        "pos": rng.uniform(0.5, 3, 4),
        "ids": ids,
        "onehot": np.eye(4)[ids],
        "share": rng.dirichlet(np.ones(4), 7),
        "probs": probs,
        "logits": logits,
        "sign": np.where(rng.random((7, 4)) < 0.5, -1.0, 1.0),
        "score": rng.normal(0, 1, (7, 4)),
        "scores": rng.normal(0, 1, (7, 4)),
        "mask": rng.integers(0, 2, (7, 3, 4)).astype(np.float64),
        "overlap": rng.uniform(0.05, 0.95, (7, 3, 4)),
        "w": rng.uniform(0.1, 2, 7),
        "cw": rng.uniform(0.5, 2, 4),
    }
