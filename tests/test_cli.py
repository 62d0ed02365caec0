"""The command: what it prints where, its exit codes, and its manners on a terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import actloss_rs as al
from actloss_rs.evaluation.commands import app
from actloss_rs.evaluation.task import loss_classes

COMMAND = [sys.executable, "-m", "actloss_rs.cli"]


def actloss(*arguments):
    """The command in this process: exit code, standard output, standard error."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def files(tmp_path):
    """Paths of labels and logits."""
    rng = np.random.default_rng(0)
    y, z = rng.integers(0, 10, 500), rng.normal(0, 3, (500, 10)).astype(np.float32)
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "z.npy", z)
    return [tmp_path / "y.npy", tmp_path / "z.npy"]


LOGITS = ("--loss", "sparse_categorical_crossentropy", "--from-logits")


def test_the_sample():
    code, out, err = actloss("evaluate", "--sample", "digits", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    path = Path(al.__file__).parent / "data" / "digits.npz"
    with np.load(path) as sample:
        y, z = sample["y_true"], sample["y_pred"]
    assert z.shape == (1797, 10)
    assert path.stat().st_size < 100_000
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    np.testing.assert_array_equal(y, sklearn_datasets.load_digits().target)
    assert result["rows"] == 1797
    assert result["loss"] == al.sparse_categorical_crossentropy(y, z, from_logits=True)
    assert result["accuracy"] == np.mean(z.argmax(axis=1) == y) >= 0.96
    assert 1 < result["perplexity"] < 1.2


@pytest.mark.parametrize("logits", [True, False])
def test_one_hot_losses_of_the_sample_have_the_same_bits(logits):
    options = ["--from-logits"] if logits else []
    results = []
    for loss in ("sparse_categorical_crossentropy", "categorical_crossentropy"):
        code, out, _ = actloss("evaluate", "--sample", "digits", "--json", "--loss", loss, *options)
        assert code == 0
        results.append(json.loads(out))
    for name in ("loss", "accuracy", "top_5_accuracy", "perplexity"):
        assert results[0][name] == results[1][name]


def test_text(files):
    code, out, err = actloss("evaluate", *files, *LOGITS, "--metrics", "worst_2, confusion_matrix")
    assert (code, err) == (0, "")
    result = al.evaluate(*files, loss=LOGITS[1], from_logits=True)
    lines = dict(line.rsplit(None, 1) for line in out.splitlines()[1:6])
    assert out.split()[:2] == ["loss", repr(result["loss"])]
    assert float(lines["accuracy"]) == result["accuracy"]
    assert float(lines["top-5 accuracy"]) == result["top_5_accuracy"]
    assert float(lines["perplexity"]) == result["perplexity"]
    assert lines["rows"] == "500"
    assert float(lines["rows/s"].replace(",", "")) > 0
    assert "\x1b" not in out
    assert len(out.split("confusion matrix\n")[1].splitlines()) == 10


def test_json_is_what_python_returns(files):
    code, out, _ = actloss("evaluate", *files, *LOGITS, "--json", "--metrics", "ece,per_class_loss")
    assert code == 0
    result = al.evaluate(*files, loss=LOGITS[1], from_logits=True, metrics=["ece", "per_class_loss"])
    assert list(json.loads(out)) == list(result)
    for name, value in json.loads(out).items():
        assert name in ("seconds", "rows_per_second", "bytes_per_second") or value == result[name]


def test_json_has_no_numbers_that_are_none(tmp_path):
    def refuse(token):
        raise AssertionError(token)

    np.save(tmp_path / "y.npy", np.array([0, 1]))
    for p, expected in (([[0.0, 1], [0, 1]], "Infinity"), ([[np.nan, 1], [0, 1]], "NaN")):
        np.save(tmp_path / "p.npy", np.array(p))
        code, out, _ = actloss(
            "evaluate", tmp_path / "y.npy", tmp_path / "p.npy", LOGITS[0], LOGITS[1], "--json"
        )
        assert code == 0
        assert json.loads(out, parse_constant=refuse)["loss"] == expected


def test_options_and_weights(files, tmp_path):
    weight = np.random.default_rng(1).random(500)
    np.save(tmp_path / "w.npy", weight)
    more = [
        "--option",
        "label_smoothing=0.1",
        "--option",
        "reduction=sum",
        "--sample-weight",
        tmp_path / "w.npy",
    ]
    code, out, _ = actloss("evaluate", *files, *LOGITS, *more, "--json")
    assert code == 0
    y, z = map(np.load, files)
    loss = al.losses.SparseCategoricalCrossentropy(from_logits=True, label_smoothing=0.1, reduction="sum")
    assert json.loads(out)["loss"] == loss(y, z, weight)


def test_limits(files):
    code, out, err = actloss(
        "evaluate", *files, *LOGITS, "--fail-above", "loss=0.5", "--fail-above", "accuracy=1"
    )
    assert code == 1
    assert out.startswith("loss ")
    assert err.startswith("actloss: loss is ")
    assert err.count("\n") == 1
    assert actloss("evaluate", *files, *LOGITS, "--fail-above", "loss=50")[0] == 0
    code, _, err = actloss("evaluate", *files, *LOGITS, "--fail-above", "los=50")
    assert (code, err) == (2, "actloss: --fail-above: the result has no figure 'los'\n")
    code, out, err = actloss("evaluate", *files, *LOGITS, "--fail-above", "loss=low")
    assert (code, out) == (2, "")
    assert "'low' is not a number" in err


def test_nan_is_above_every_limit(files):
    z = np.load(files[1])
    z[3, 3] = np.nan
    np.save(files[1], z)
    assert actloss("evaluate", *files, *LOGITS, "--fail-above", "loss=1e300")[0] == 1
    code, out, _ = actloss("evaluate", *files, *LOGITS, "--fail-above", "loss=1e300", "--on-bad-row", "skip")
    assert code == 0
    assert "skipped rows     1\n" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Y_TRUE and Y_PRED are needed"),
        (["y.npy", "z.npy"], "--loss is needed, one of: "),
        (["y.npy", "z.npy", "--loss", "crossentropy"], "unknown loss 'crossentropy'"),
        (["y.npy", "none.npy", *LOGITS], "none.npy: no such file"),
        (["y.npy", "z.npy", *LOGITS[:2]], "z.npy: row 0: "),
        (["y.npy", "z.npy", *LOGITS, "--metrics", "luck"], "unknown metric 'luck'"),
        (["y.npy", "z.npy", *LOGITS, "--option", "axis"], "--option 'axis' is not NAME=VALUE"),
        (["y.npy", "z.npy", *LOGITS, "--option", "no_such=1"], "no_such"),
        (["--sample", "letters"], "--sample stands without paths and is one of: digits"),
        (["y.npy", "--sample", "digits"], "--sample stands without paths"),
        (["--sample", "digits", "--loss", "mean_squared_error"], "mean_squared_error"),
    ],
)
def test_wrong_input(arguments, message, files, monkeypatch):
    monkeypatch.chdir(files[0].parent)
    code, out, err = actloss("evaluate", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("actloss: ")
    assert message in err
    assert err.count("\n") == 1


def test_the_bad_row(files):
    y = np.load(files[0])
    y[321] = 10
    np.save(files[0], y)
    code, out, err = actloss("evaluate", *files, *LOGITS)
    assert (code, out) == (2, "")
    assert err.startswith(f"actloss: {files[0]}: row 321: ")
    assert "10" in err


def test_help_and_version():
    code, out, _ = actloss("--version")
    assert (code, out) == (0, al.__version__ + "\n")
    for arguments in (["--help"], ["evaluate", "--help"]):
        code, out, _ = actloss(*arguments)
        assert code == 0
        assert "evaluate" in out


def test_quiet_when_not_a_terminal(files):
    run = subprocess.run([*COMMAND, "evaluate", *files, *LOGITS], capture_output=True, text=True, check=True)
    assert run.stderr == ""
    assert run.stdout.startswith("loss ")


def test_what_it_takes_is_named_where_it_is_missing():
    code = "import sys; sys.modules['typer'] = None; import actloss_rs.cli; actloss_rs.cli.main()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "pip install 'actloss_rs[cli]'" in run.stderr
    assert "Traceback" not in run.stderr


def sparse_npy(path, shape, dtype):
    """A .npy file of zeros that takes no room on the disk."""
    with path.open("wb") as file:
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + np.dtype(dtype).itemsize * int(np.prod(shape)))


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminal")
def test_progress_on_a_terminal_and_control_c(tmp_path):
    rows = 2_000_000_000  # more than can be read in the time
    sparse_npy(tmp_path / "y.npy", (rows,), np.uint8)
    sparse_npy(tmp_path / "z.npy", (rows, 10), np.float32)
    arguments = [
        "evaluate",
        tmp_path / "y.npy",
        tmp_path / "z.npy",
        *LOGITS,
        "--checkpoint",
        tmp_path / "state",
    ]
    ours, theirs = pty.openpty()
    run = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    shown = b""
    while f"/{rows}".encode() not in shown:
        shown += os.read(ours, 4096)
    run.send_signal(signal.SIGINT)
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # how a pseudo-terminal ends
            break
        if not piece:
            break
        shown += piece
    out, _ = run.communicate(timeout=60)
    os.close(ours)
    assert run.returncode == 130
    assert out == b""
    assert b"evaluating" in shown
    assert b"MB/s" in shown
    assert b"actloss: interrupted after " in shown
    assert f"saved in {tmp_path / 'state'}; the same command goes on from there".encode() in shown
    rows = json.loads((tmp_path / "state").read_bytes())["state"]["rows"]
    assert f"interrupted after {rows} of".encode() in shown
    assert b"Traceback" not in shown


def test_what_teaches(tmp_path):
    code, out, _ = actloss("--help")
    assert code == 0
    for shown in (
        "actloss evaluate --sample digits",
        "--report report.html",
        "--checkpoint state",
        "actloss losses",
    ):
        assert shown in out
    code, out, _ = actloss("losses")
    assert code == 0
    assert "sparse_categorical_crossentropy\n    y_true: class ids\n    from_logits: bool = False, " in out
    assert out.count("y_true: ") == len(loss_classes())
    code, out, _ = actloss("schema")
    assert (code, json.loads(out)["$id"]) == (0, al.evaluate([0], [[1.0]], loss=LOGITS[1])["schema"])


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("actloss ev", ["evaluate"]),
        ("actloss evaluate --loss sparse_cat", ["sparse_categorical_crossentropy"]),
        ("actloss evaluate --metrics brier,confusion", ["brier,confusion_matrix"]),
        ("actloss evaluate --sch", ["--scheduler"]),
    ],
)
def test_shell_completion(words, offered):
    # The program is known to the shell by the name it was called with.
    call = "import sys; sys.argv[0] = 'actloss'; import actloss_rs.cli; actloss_rs.cli.main()"
    environment = {
        "_ACTLOSS_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    run = subprocess.run(
        [sys.executable, "-c", call],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.split() == offered


def test_a_table_by_groups(tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rng = np.random.default_rng(0)
    z = rng.normal(0, 3, (60, 3))
    scores = {f"p_{number}": column for number, column in enumerate(al.softmax(z).T)}
    table = {"label": rng.integers(0, 3, 60), "country": ["de", "fr", None] * 20, **scores}
    parquet.write_table(pa.table(table), tmp_path / "t.parquet")
    path = tmp_path / "t.parquet"
    paths = [f"{path}::label", f"{path}::p_*", *LOGITS[:2]]
    code, out, err = actloss("evaluate", *paths, "--group-by", f"{path}::country")
    assert (code, err) == (0, "")
    lines = out.split("slices\n")[1].splitlines()
    assert lines[0].split()[:4] == ["by", "group", "rows", "loss"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["country", "-", "20"],
        ["country", "de", "20"],
        ["country", "fr", "20"],
    ]
    code, _, err = actloss("evaluate", *paths, *["--group-by", f"{path}::country"] * 2)
    assert code == 2
    assert "two groupings are called 'country'" in err
    code, _, err = actloss("evaluate", *paths, "--report", tmp_path / "none" / "report.html")
    assert (code, err) == (2, f"actloss: --report: no such folder: {tmp_path / 'none'}\n")
