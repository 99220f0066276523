"""Import, call and check functions of a project's own code that params name as `package.module:function`.

Every error is a single line that names the function and, if possible, the file and line of the fault.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import ParamError, one_line
from pipeline.versioning.own_code.closure import module_of

SIGNATURE = "def {}(*, channels: int, classes: int, size: int) -> nn.Module"
Shapes = Mapping[str, Tensor]
# Dropout of a few logits has the same mask twice quite often: for two images of three classes once in 64 times.
REPEATS = 4


@cache
def function_of(name: str) -> Callable[..., Any]:
    """Import the function `name` from a file in the project's folder; other modules are never imported.

    Raises:
        ParamError: the function does not exist, or importing its module fails.
    """
    module, path = module_of(name)
    path, attribute = path.resolve(), name.partition(":")[2]
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # Missing under the command `pipeline`, unlike `python -m pipeline`.
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # Bytecode would hide a second edit in one second.
    try:
        with explained(name):
            found = import_module(module)
    finally:
        sys.dont_write_bytecode = written
    file = Path(found.__file__ or "").resolve()
    if file != path:
        what = f"Python has another module of that name ({found.__file__})"
        raise ParamError(name, what, "give the package a name of its own")
    function = getattr(found, attribute, None)
    if not callable(function):
        what = f"{_shown(path)} has no function {attribute!r}"
        raise ParamError(name, what, "correct the name, or write it")
    return function  # type: ignore[no-any-return]


def call(name: str, form: str, *given: Any, **named: Any) -> Any:
    """Call the function `name` and return its result; `form` is the declaration that error messages suggest.

    Raises:
        ParamError: the function does not accept these arguments, or raises an error.
    """
    function = function_of(name)
    try:
        inspect.signature(function).bind(*given, **named)
    except TypeError as error:
        declared = form.format(name.partition(":")[2])
        raise ParamError(name, f"its signature does not fit ({error})", f"declare it as `{declared}`") from None
    except ValueError:  # Functions written in C may have no signature.
        pass
    with explained(name):
        return function(*given, **named)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn an exception from the code of the function `name` into one line that names its location.

    Raises:
        ParamError: the code raised an exception.
    """
    try:
        yield
    except ParamError:
        raise
    except (Exception, SystemExit) as error:
        here = Path.cwd().resolve()
        frames = ((Path(frame.f_code.co_filename).resolve(), line) for frame, line in walk_tb(error.__traceback__))
        places = [f"{_shown(path)}:{line}: " for path, line in frames if path.is_relative_to(here) and _is_own(path)]
        where = places[-1] if places else ""
        what = f"{where}{type(error).__name__}: {one_line(error)}"
        raise ParamError(name, what, "correct it; `pipeline try` shows whether it works") from error


def build_body(name: str, *, channels: int, classes: int, size: int) -> nn.Module:
    """Build the network of the function `name`.

    Raises:
        ParamError: the function does not accept these arguments, fails, or does not return an `nn.Module`.
    """
    body = call(name, SIGNATURE, channels=channels, classes=classes, size=size)
    if not isinstance(body, nn.Module):
        raise ParamError(name, f"it returns {_kind(body)}", "return a torch.nn.Module")
    return body


def head_name(name: str, body: nn.Module, *, channels: int, classes: int, size: int) -> str:
    """Return the name of the last linear layer with one output per class in `body`, which `name` built; else "".

    Another layer may have as many outputs by chance. So the layer must also have one more output for one more class.
    """
    if not (layers := _linear_layers(body, classes)):
        return ""
    with torch.random.fork_rng(devices=[]):
        grown = _linear_layers(build_body(name, channels=channels, classes=classes + 1, size=size), classes + 1)
    return next((layer for layer in reversed(layers) if layer in grown), "")


def _linear_layers(body: nn.Module, outputs: int) -> list[str]:
    """Return the names of the linear layers of `body` with this number of outputs, in order."""
    modules = body.named_modules()
    return [name for name, one in modules if isinstance(one, nn.Linear) and one.out_features == outputs]


def check_outputs(name: str, body: nn.Module, images: Tensor, classes: int) -> None:
    """Check that `body`, which `name` built, returns one logit per class for each image, and the same when repeated.

    Raises:
        ParamError: the check fails, or `body` raises an error.
    """
    modes = [(module, module.training) for module in body.modules()]
    body.eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]), explained(name):
        logits, *again = (body(images.clone()) for _ in range(1 + REPEATS))
    for module, training in modes:
        module.training = training
    wanted = (len(images), classes)
    if not isinstance(logits, Tensor) or logits.shape != wanted:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else _kind(logits)
        what = f"for {len(images)} images it returns {found} instead of logits of shape {wanted}"
        raise ParamError(name, what, "give its last layer `classes` outputs, for any number of images")
    if not all(torch.equal(logits, other) for other in again):
        what = "in evaluation it gives the same images other logits each time"
        raise ParamError(name, what, "let random numbers and state of its own depend on `self.training`")


def check_rows(name: str, one: Shapes, other: Shapes, classes: int) -> None:
    """Check that one more class only adds a row to some weights: `one` has `classes` classes, `other` one more.

    Raises:
        ParamError: other weights or dimensions depend on the classes, so the network could not grow.
    """
    for weight in sorted(one.keys() | other.keys()):
        if weight not in one or weight not in other:
            what = f"{weight} exists for some numbers of classes only"
            raise ParamError(name, what, "let the last layer alone depend on `classes`")
        before, after = tuple(one[weight].shape), tuple(other[weight].shape)
        if before != after and (before, after) != ((classes, *before[1:]), (classes + 1, *before[1:])):
            what = f"{weight} has the shape {before} for {classes} classes, and {after} for one more"
            raise ParamError(name, what, "let the last layer alone depend on `classes`, with a row for each")


def _is_own(path: Path) -> bool:
    """Whether the file `path` in the project's folder is neither part of the release nor of an installed package."""
    return not path.is_relative_to(Path(__file__).resolve().parent.parent) and "site-packages" not in path.parts


def _shown(path: Path) -> str:
    """Return `path` relative to the project's folder, if it is inside."""
    here = Path.cwd().resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _kind(value: object) -> str:
    return "nothing" if value is None else f"something of type {type(value).__name__}"
