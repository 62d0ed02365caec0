"""Measure how accurate other libraries' float32 activations are; ``make accuracy`` reports it beside ours.

    python scripts/peer_accuracy.py [--stride 1021]

Takes the peers that are installed, on every ``stride``-th float32 bit pattern, against the textbook
formula in float64 (good to some 2^-45, so errors are right to a thousandth of an ulp), and writes
``docs/accuracy-peers.tsv``: the largest error, and the largest where input and result are normal numbers,
since some peers take subnormal ones for 0. Where a peer gives NaN for a number, or infinity for a result
that a float32 can hold, the error is infinite.
"""

import argparse
import importlib
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Doubles = NDArray[np.float64]
Singles = NDArray[np.float32]

TABLE = Path(__file__).parent.parent / "docs" / "accuracy-peers.tsv"
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def gelu_tanh(x: Doubles) -> Doubles:
    """Return x / 2 (1 + tanh(u)) without its cancellation."""
    return x * special.expit(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))


def elu(x: Doubles) -> Doubles:
    """Return x where positive, else exp(x) - 1."""
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


TEXTBOOK: dict[str, Callable[[Doubles], Doubles]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log1p": np.log1p,
    "erf": special.erf,
    "sigmoid": special.expit,
    "tanh": np.tanh,
    "silu": lambda x: x * special.expit(x),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "gelu": lambda x: x * special.ndtr(x),
    "gelu_tanh": gelu_tanh,
    "softplus": lambda x: np.logaddexp(0, x),
    "log_sigmoid": lambda x: -np.logaddexp(0, -x),
    "elu": elu,
    "celu": elu,
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
}


def numpy_functions(numpy: Any) -> dict[str, Callable[[Singles], Singles]]:
    """Return NumPy's functions by our names."""
    return {name: getattr(numpy, name) for name in ("exp", "expm1", "log1p", "tanh")}


def scipy_functions(scipy_special: Any) -> dict[str, Callable[[Singles], Singles]]:
    """Return SciPy's functions by our names."""
    names = {"sigmoid": "expit", "log_sigmoid": "log_expit", "erf": "erf", "expm1": "expm1", "log1p": "log1p"}
    return {name: getattr(scipy_special, theirs) for name, theirs in names.items()}


def torch_functions(torch: Any) -> dict[str, Callable[[Singles], Singles]]:
    """Return PyTorch's functions by our names."""
    nn = torch.nn.functional
    functions = {name: getattr(torch, name) for name in ("exp", "expm1", "log1p", "erf", "sigmoid", "tanh")}
    functions |= {
        name: getattr(nn, name) for name in ("silu", "mish", "gelu", "softplus", "elu", "celu", "selu")
    }
    functions |= {"softsign": nn.softsign, "log_sigmoid": nn.logsigmoid, "hard_swish": nn.hardswish}
    functions["gelu_tanh"] = lambda x: nn.gelu(x, approximate="tanh")
    return {name: lambda x, f=f: f(torch.from_numpy(x)).numpy() for name, f in functions.items()}


def jax_functions(jax: Any) -> dict[str, Callable[[Singles], Singles]]:
    """Return JAX's functions by our names."""
    functions = {name: getattr(jax.numpy, name) for name in ("exp", "expm1", "log1p", "tanh")}
    functions |= {
        name: getattr(jax.nn, name) for name in ("sigmoid", "silu", "mish", "softplus", "elu", "celu")
    }
    functions |= {"selu": jax.nn.selu, "softsign": jax.nn.soft_sign, "log_sigmoid": jax.nn.log_sigmoid}
    functions |= {"hard_swish": jax.nn.hard_swish, "erf": jax.scipy.special.erf}
    functions["gelu"] = lambda x: jax.nn.gelu(x, approximate=False)
    functions["gelu_tanh"] = lambda x: jax.nn.gelu(x, approximate=True)
    compiled = {name: jax.jit(function) for name, function in functions.items()}
    return {name: lambda x, f=f: np.asarray(f(x)) for name, f in compiled.items()}


PEERS = {
    "PyTorch": ("torch", torch_functions),
    "JAX": ("jax", jax_functions),
    "NumPy": ("numpy", numpy_functions),
    "SciPy": ("scipy.special", scipy_functions),
}


def ulps(result: Singles, exact: Doubles) -> Doubles:
    """Return the error in units of the last place of a float32 at the exact value."""
    limit = 2.0**128 - 2.0**103  # From here on the nearest float32 is infinite.
    rounded_exact = np.where(np.abs(exact) >= limit, np.copysign(np.inf, exact), exact)
    _, exponent = np.frexp(exact)
    place = np.ldexp(1.0, np.maximum(exponent - 1, -126) - 23)
    error = np.abs(result.astype(np.float64) - exact) / place
    same = (result == rounded_exact) | (np.isnan(result) & np.isnan(exact))
    return np.where(same, 0.0, np.where(np.isfinite(result), error, np.inf))


def worst(
    function: Callable[[Singles], Singles], textbook: Callable[[Doubles], Doubles], stride: int
) -> tuple[float, float]:
    """Return the largest error of ``function``, and the largest among normal numbers."""
    largest = largest_normal = 0.0
    with np.errstate(all="ignore"):
        for bits in np.array_split(np.arange(0, 2**32, stride, dtype=np.uint64), 64):
            x = bits.astype(np.uint32).view(np.float32)
            x = x[np.isfinite(x)]
            exact = textbook(x.astype(np.float64))
            errors = ulps(function(x), exact)
            normal = (np.abs(x) >= 2.0**-126) & (np.abs(exact) >= 2.0**-126)
            largest = max(largest, float(np.max(errors, initial=0.0)))
            largest_normal = max(largest_normal, float(np.max(errors[normal], initial=0.0)))
    return largest, largest_normal


def rows(stride: int) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "# peer, function, float32 max ULP, the same among normal numbers; by scripts/peer_accuracy.py"
    yield f"# every {stride}th bit pattern, on {platform.machine()}"
    for peer, (module, functions) in PEERS.items():
        try:
            library = importlib.import_module(module)
        except ImportError:
            print(f"{peer}: not installed")
            continue
        version = importlib.import_module(module.partition(".")[0]).__version__
        yield f"# {peer} {version}"
        for name, function in functions(library).items():
            error, normal = worst(function, TEXTBOOK[name], stride)
            print(f"{peer} {name}: {error:.4g} ulp, {normal:.4g} among normal numbers")
            yield f"{peer}\t{name}\t{error:.6g}\t{normal:.6g}"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stride", type=int, default=1021, help="step between bit patterns")
    lines = list(rows(parser.parse_args().stride))
    TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
