"""Write the stubs of the modules whose names are only known at run time, from the Rust definitions.

``--check`` writes nothing and fails if a stub is not what it should be.
"""

import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

PACKAGE = Path(__file__).parent.parent / "python" / "actloss_rs"
HEADER = "# Written by scripts/write_stubs.py from the definitions: do not edit."

BUILTIN_TYPES = {
    "axis": "int | tuple[int, ...] | None",
    "keepdims": "bool",
    "out": "NDArray[Any] | None",
    "arrays": "Iterable[ArrayLike]",
    "gamma": "ArrayLike | None",
    "beta": "ArrayLike | None",
    "running_mean": "ArrayLike | None",
    "running_var": "ArrayLike | None",
    "training": "bool",
    "momentum": "float",
    "epsilon": "float",
    "max_norm": "float",
}
"""Types of the parameters of built-in functions; those not named are arrays."""


def module_stub(module: ModuleType, protocol: str) -> str:
    """The stub of a module: a variable for a ufunc, a function for a parametrised one."""
    imports = {"from typing import Any", f"from actloss_rs._typing import {protocol}"}
    lines = []
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, np.ufunc):
            lines.append(f"{name}: {protocol}")
        elif inspect.isfunction(value) and value.__module__ == module.__name__.replace(".activations", ""):
            imports.add("from numpy.typing import ArrayLike")
            types = {"kwargs": "Any", "out": "Any"}
            lines.append(f"def {name}{typed_signature(value, types)} -> Any: ...")
        elif inspect.isbuiltin(value):
            imports.add("from numpy.typing import ArrayLike, NDArray")
            imports.add("from collections.abc import Iterable, Sequence")
            lines.append(f"def {name}{typed_signature(value, BUILTIN_TYPES)} -> Any: ...")
        else:
            imports.add(f"from {value.__module__} import {value.__name__} as {name}")
    return formatted([*sorted(imports), "", f"__all__ = {module.__all__!r}", "", *lines])


def typed_signature(function: Callable[..., object], types: dict[str, str]) -> str:
    """The signature of a function with types; those not named are arrays."""
    signature = inspect.signature(function)
    if "arrays" in signature.parameters:
        types = types | {"out": "Sequence[NDArray[Any]] | None"}
    parameters = [
        parameter.replace(annotation=types.get(parameter.name, "ArrayLike"))
        for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty)).replace("'", "")


def package_stub(package: ModuleType) -> str:
    """The stub of a package: each public name from the submodule that defines it."""
    public = {name: getattr(package, name) for name in package.__all__}
    submodules = [value for value in vars(package).values() if isinstance(value, ModuleType)]
    submodules.append(importlib.import_module("actloss_rs._core"))
    lines = []
    for name, value in public.items():
        if isinstance(value, ModuleType):
            lines.append(f"from . import {name} as {name}")
            continue
        origins = [
            module.__name__
            for module in submodules
            if name in getattr(module, "__all__", ()) and getattr(module, name) is value
        ]
        origin = next(
            origin for origin in origins if origin.startswith("actloss_rs.") and ".backward" not in origin
        )
        lines.append(f"from {origin} import {name} as {name}")
    return formatted([*lines, "", f"__all__ = {package.__all__!r}"])


def formatted(lines: list[str]) -> str:
    """The lines as ruff would have them, under the header."""
    text = "\n".join([HEADER, *lines])
    for command in (["check", "-q", "--fix-only"], ["format", "-q"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", "stub.pyi", "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True).stdout
    return text


def main() -> int:
    """Write or check the stubs."""
    package = importlib.import_module("actloss_rs")
    stubs = {
        "activations.pyi": module_stub(package.activations, "Activation"),
        "backward.pyi": module_stub(package.backward, "Gradient"),
        "normalization.pyi": module_stub(package.normalization, "Activation"),
        "__init__.pyi": package_stub(package),
        "losses/__init__.pyi": package_stub(package.losses),
    }
    stale = []
    for name, text in stubs.items():
        path = PACKAGE / name
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(name)
    if stale:
        print(f"stale: {', '.join(stale)}; run `make format`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
