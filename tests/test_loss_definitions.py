"""The Python classes and functions of the losses say what the Rust definitions say."""

from __future__ import annotations

import inspect

import pytest
from inputs import CLASSES, OF_THREE_ARRAYS

import actloss_rs as al
from actloss_rs import _core

VALUES = {bool: [True], int: [3, -2, 1], float: [0.25, 0.125, 0.5], type(None): [2]}
"""Values for options with defaults of these types, a different one for each."""

OF_OPTION = {"p": [2, 1]}
"""Values for options that take no others."""

NEED_LOGITS = {"z_loss", "temperature"}


EVERY = CLASSES | OF_THREE_ARRAYS


def class_of(name):
    return getattr(al.losses, EVERY[name])


def test_every_loss_is_public():
    assert sorted(_core.losses) == sorted(EVERY)
    public = [*EVERY, *EVERY.values()]
    assert sorted(al.losses.__all__) == sorted(["Loss", "LossMetric", *public])
    for name in EVERY:
        assert getattr(al, name) is getattr(al.losses, name)
        assert name in al.__all__


@pytest.mark.parametrize("name", _core.losses)
def test_options_and_defaults(name):
    function = inspect.signature(getattr(al, name)).parameters
    cls = inspect.signature(class_of(name)).parameters
    expected = {**_core.losses[name], "reduction": "mean"}
    assert {key: p.default for key, p in cls.items()} == expected
    given = {key: p.default for key, p in function.items() if p.kind is p.KEYWORD_ONLY}
    assert given == {**expected, "sample_weight": None}


@pytest.mark.parametrize("name", _core.losses)
def test_options_arrive_where_they_belong(name):
    for option, default in _core.losses[name].items():
        for value in OF_OPTION.get(option, VALUES[type(default)]):
            options = {option: value} | ({"from_logits": True} if option in NEED_LOGITS else {})
            loss = class_of(name)(**options)
            for other, other_default in _core.losses[name].items():
                found = getattr(loss, other)
                assert found == options.get(other, other_default) or found == [options[other]], other
