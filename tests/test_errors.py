"""Every refusal: its type, the argument it names, what was found and where."""

from __future__ import annotations

import re

import numpy as np
import pytest
from inputs import (
    CLASSES,
    CROSSENTROPIES,
    KINDS,
    LOSS_IDS,
    LOSSES,
    loss_class,
    loss_inputs,
    on_probabilities,
    over_axis,
    takes_ids,
)

import actloss_rs as al

EACH = pytest.mark.parametrize(("name", "options"), LOSSES, ids=LOSS_IDS)
ROWS = pytest.mark.parametrize("name", CROSSENTROPIES)
AXIS = pytest.mark.parametrize("name", [name for name in CLASSES if over_axis(name)])
DENSE = pytest.mark.parametrize("name", [name for name in CLASSES if not takes_ids(name)])
SPARSE = al.sparse_categorical_crossentropy


def message(error, function, *arguments, **keywords):
    """The text of the error that the call must raise."""
    with pytest.raises(error) as raised:
        function(*arguments, **keywords)
    return str(raised.value)


def numbers(text):
    return re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", text)


def refuse(error, name, *arguments, **options):
    """The function, the class and its metric refuse alike; the text of the function's error."""
    weight = options.pop("sample_weight", None)

    def update():
        loss_class(name, **options).metric().update_state(*arguments, weight)

    for call in (
        lambda: loss_class(name, **options)(*arguments, weight),
        lambda: loss_class(name, **options).value_and_grad(*arguments, weight),
        update,
    ):
        message(error, call)
    return message(error, getattr(al, name), *arguments, sample_weight=weight, **options)


# ----------------------------------------------------------------------------------------------- shapes


@DENSE
def test_shapes_that_differ(name):
    for shape in [(4, 2), (3, 3), (12,), (1, 4, 3), (1, 3), (4, 1)]:
        text = refuse(ValueError, name, np.ones(shape), np.full((4, 3), 0.5))
        for named in ("y_true", "y_pred", str(shape), "(4, 3)"):
            assert named in text


@DENSE
def test_a_column_against_a_vector(name):
    for true, pred in [((3,), (3, 1)), ((3, 1), (3,))]:
        text = refuse(ValueError, name, np.ones(true), np.full(pred, 0.5))
        assert str(true) in text
        assert str(pred) in text


def test_labels_of_the_other_loss_are_sent_there():
    logits = np.zeros((4, 3))
    for ids in ([0, 1, 2, 0], [[0], [1], [2], [0]]):
        text = refuse(ValueError, "categorical_crossentropy", ids, logits, from_logits=True)
        assert "sparse_categorical_crossentropy" in text
    text = refuse(
        ValueError, "sparse_categorical_crossentropy", np.eye(4, 3, dtype=int), logits, from_logits=True
    )
    assert text.endswith("one-hot labels are for categorical_crossentropy")


@pytest.mark.parametrize(
    ("options", "expected", "found"),
    [
        ({"from_logits": 1}, "bool", "1"),
        ({"from_logits": "yes"}, "bool", "str"),
        ({"ignore_class": 1.5}, "integer", "1.5"),
        ({"class_weight": {0: 1.0}}, "array", "dict"),
        ({"label_smoothing": None}, "number", "None"),
    ],
)
def test_options_of_a_wrong_type(options, expected, found):
    text = refuse(TypeError, "sparse_categorical_crossentropy", [0], [[0.5, 0.5]], **options)
    for named in (*options, expected, found):
        assert named in text


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 2), (1, 4), ()])
def test_shapes_of_class_ids(shape):
    text = refuse(ValueError, "sparse_categorical_crossentropy", np.zeros(shape, int), np.full((4, 3), 0.5))
    for named in ("y_true", "y_pred", str(shape), "(4, 3)"):
        assert named in text


@EACH
@pytest.mark.parametrize("shape", [(3,), (5,), (1, 4), (4, 3, 1), (4, 5)])
def test_shapes_of_weights(name, options, shape):
    y_true, y_pred = loss_inputs(name, (4, 3), **options)
    text = refuse(ValueError, name, y_true, y_pred, sample_weight=np.ones(shape), **options)
    assert "sample_weight" in text
    assert str(shape) in text


@ROWS
@pytest.mark.parametrize("length", [0, 1, 2, 4])
def test_length_of_class_weight(name, length):
    text = refuse(ValueError, name, *loss_inputs(name, (4, 3)), class_weight=np.ones(length))
    assert "class_weight" in text
    assert {str(length), "3"} <= set(numbers(text))


def test_shape_of_pos_weight():
    y_true, y_pred = loss_inputs("binary_crossentropy", (4, 3))
    for shape in [(2,), (4,)]:
        text = refuse(ValueError, "binary_crossentropy", y_true, y_pred, pos_weight=np.ones(shape))
        assert "pos_weight" in text


@AXIS
def test_axis_out_of_range(name):
    for axis in (2, -3):
        text = refuse(ValueError, name, *loss_inputs(name, (4, 3)), axis=axis)
        assert str(axis) in text


@AXIS
def test_no_classes(name):
    y_true = np.zeros(4, int) if takes_ids(name) else np.zeros((4, 0))
    refuse(ValueError, name, y_true, np.zeros((4, 0)))
    if KINDS[name].y_pred == "either":
        refuse(ValueError, name, y_true, np.zeros((4, 0)), from_logits=True)


@pytest.mark.parametrize("name", ["dice", "tversky"])
def test_samples_without_elements(name):
    for shape in [(4, 0), (4, 3, 0), (0, 0)]:
        assert str(shape) in refuse(ValueError, name, np.zeros(shape), np.zeros(shape))


# -------------------------------------------------------------------------------------------- class ids


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize(
    ("found", "code"), [(-1, "b"), (3, "B"), (255, "B"), (-77, "i"), (2**40, "q"), (2**63, "Q")]
)
def test_class_ids_out_of_range(from_logits, found, code):
    y_true = np.zeros((2, 3), dtype=code)
    y_true[1, 0] = y_true[1, 2] = found
    text = refuse(
        ValueError,
        "sparse_categorical_crossentropy",
        y_true,
        np.full((2, 3, 3), 0.5),
        from_logits=from_logits,
    )
    assert "y_true" in text
    assert str(found) in numbers(text)
    assert "3" in numbers(text)
    assert re.search(r"\(1, 0\)|\[1, 0\]", text)


def test_the_first_wrong_class_id_is_named_whatever_the_threads():
    y_true = np.zeros(300_000, int)
    y_true[[7_777, 123_456, 299_999]] = 5, 6, 7
    y_pred = np.full((300_000, 2), 0.5, np.float32)
    for threads in (1, 2, 7):
        with al.num_threads(threads):
            text = message(ValueError, SPARSE, y_true, y_pred)
        assert {"7777", "5", "2"} <= set(numbers(text))


def test_an_ignored_class_excuses_only_itself():
    y_true, y_pred = np.array([0, -1, -2]), np.full((3, 2), 0.5)
    text = refuse(ValueError, "sparse_categorical_crossentropy", y_true, y_pred, ignore_class=-1)
    assert {"-2", "2"} <= set(numbers(text))


@pytest.mark.parametrize("code", ["e", "f", "d"])
def test_floating_class_ids(code):
    text = refuse(TypeError, "sparse_categorical_crossentropy", np.zeros(3, code), np.full((3, 2), 0.5))
    assert "y_true" in text
    assert ".astype(int)" in text


# ----------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("name", [name for name in CLASSES if on_probabilities(name, {})])
@pytest.mark.parametrize("found", [-0.25, 1.25, 3.5, np.inf, -np.inf])
def test_probabilities_outside_the_unit_interval(name, found, dtype):
    y_true, y_pred = loss_inputs(name, (5, 4), dtype)
    y_pred[3, 1] = y_pred[4, 0] = found
    text = refuse(ValueError, name, y_true, y_pred)
    assert "y_pred" in text
    assert ("from_logits=True" in text) == (KINDS[name].y_pred == "either")
    assert re.search(r"\(3, 1\)|\[3, 1\]", text)
    assert str(found) in text


def test_every_entry_of_a_counted_row_is_read():
    """A wrong probability is caught beside the target too."""
    y_pred = np.array([[0.5, 0.5, 0], [0.5, 0.5, 0]])
    for column in range(3):
        wrong = y_pred.copy()
        wrong[1, column] = 1.5
        text = message(ValueError, SPARSE, [0, 0], wrong)
        assert re.search(rf"\(1, {column}\)|\[1, {column}\]", text)
        assert SPARSE([0, -1], wrong, ignore_class=-1) == np.log(2)


@pytest.mark.parametrize(
    ("name", "options"),
    [case for case in LOSSES if KINDS[case[0]].y_true in {"probabilities", "distributions"}],
    ids=str,
)
@pytest.mark.parametrize("found", [-0.5, 2.0, np.inf])
def test_labels_outside_the_unit_interval(name, options, found):
    y_true, y_pred = loss_inputs(name, (5, 4), **options)
    y_true = y_true.astype(float)
    y_true[2, 3] = found
    text = refuse(ValueError, name, y_true, y_pred, **options)
    assert "y_true" in text
    assert re.search(r"\(2, 3\)|\[2, 3\]", text)
    assert str(found) in text


def test_integer_labels_outside_the_unit_interval():
    for found in (2, -1):
        text = refuse(ValueError, "binary_crossentropy", np.array([0, 1, found]), np.full(3, 0.5))
        assert "y_true" in text
        assert str(found) in text


@EACH
def test_negative_weights(name, options):
    y_true, y_pred = loss_inputs(name, (4, 3), **options)
    text = refuse(ValueError, name, y_true, y_pred, sample_weight=[1, 1, -0.5, 1], **options)
    assert "sample_weight" in text
    assert "-0.5" in text
    assert "2" in numbers(text)
    assert getattr(al, name)(y_true, y_pred, sample_weight=[1, 1, -0.0, 1], **options) != 0


@ROWS
def test_negative_class_weights(name):
    text = refuse(ValueError, name, *loss_inputs(name, (4, 3)), class_weight=[1, -2.5, 1])
    assert "class_weight" in text
    assert "-2.5" in text


def test_negative_pos_weight():
    for pos_weight in (-1.0, [1, -2, 1]):
        text = refuse(
            ValueError,
            "binary_crossentropy",
            *loss_inputs("binary_crossentropy", (4, 3)),
            pos_weight=pos_weight,
        )
        assert "pos_weight" in text


# ---------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize("name", [name for name in CLASSES if "cross" in name])
@pytest.mark.parametrize("smoothing", [-0.1, 1.5, np.nan])
def test_label_smoothing_outside_the_unit_interval(name, smoothing):
    text = refuse(ValueError, name, *loss_inputs(name, (4, 3)), label_smoothing=smoothing)
    assert "label_smoothing" in text
    assert str(smoothing) in text


@EACH
def test_unknown_reduction(name, options):
    y_true, y_pred = loss_inputs(name, (4, 3), **options)
    for reduction in ("average", "MEAN", ""):
        text = refuse(ValueError, name, y_true, y_pred, reduction=reduction, **options)
        assert reduction in text
        for known in ("none", "sum", "mean", "sum_over_batch_size"):
            assert known in text


@ROWS
def test_z_loss_needs_logits(name):
    text = refuse(ValueError, name, *loss_inputs(name, (4, 3)), z_loss=0.1)
    assert "z_loss" in text
    assert "from_logits" in text


@ROWS
def test_temperature_needs_logits_and_is_positive(name):
    text = refuse(ValueError, name, *loss_inputs(name, (4, 3)), temperature=2.0)
    assert "temperature" in text
    assert "from_logits" in text
    for temperature in (0.0, -1.0, np.nan, np.inf):
        arguments = loss_inputs(name, (4, 3), from_logits=True)
        text = refuse(ValueError, name, *arguments, from_logits=True, temperature=temperature)
        assert "temperature" in text
        assert str(temperature) in text


@EACH
def test_unknown_and_positional_options(name, options):
    y_true, y_pred = loss_inputs(name, (4, 3), **options)
    with pytest.raises(TypeError, match="no_such_option"):
        getattr(al, name)(y_true, y_pred, no_such_option=1)
    with pytest.raises(TypeError):
        getattr(al, name)(y_true, y_pred, True)
    with pytest.raises(TypeError, match="y_pred"):
        getattr(al, name)(y_true)


@EACH
def test_no_metric_of_unreduced_values(name, options):
    assert "none" in message(ValueError, loss_class(name, reduction="none", **options).metric)


@EACH
def test_ragged_lists(name, options):
    with pytest.raises((ValueError, TypeError)):
        getattr(al, name)([[0, 1], [0]], [[0.5, 0.5], [0.5]], **options)


@pytest.mark.parametrize("from_logits", [False, True])
def test_no_decision_without_a_number(from_logits):
    text = message(ValueError, al.predict_binary, [[0.5, 0.5], [0.5, np.nan]], from_logits=from_logits)
    assert "y_pred" in text
    assert re.search(r"\(1, 1\)|\[1, 1\]", text)


# ---------------------------------------------------------------------------------------------- threads


@pytest.mark.parametrize("threads", [0, -1])
def test_number_of_threads(threads):
    before = al.get_num_threads()
    with pytest.raises((ValueError, OverflowError)):
        al.set_num_threads(threads)
    with pytest.raises((ValueError, OverflowError)), al.num_threads(threads):
        pass
    assert al.get_num_threads() == before
    with pytest.raises(TypeError):
        al.set_num_threads("two")
