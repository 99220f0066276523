"""Functions of a project's own code that params name, `package.module:function`: found, called, and checked.

What is wrong with such code is one line that names its file, and where it can, the line in it.
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


@cache
def function_of(name: str) -> Callable[..., Any]:
    """The function `name`, of a file in the project's folder; nothing else is ever imported.

    Raises:
        ParamError: there is none, or importing it fails.
    """
    module, path = module_of(name)
    path, attribute = path.resolve(), name.partition(":")[2]
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # The command `pipeline` lacks it; `python -m pipeline` has it.
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # Of two edits in a second the first would count.
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
    """What the function `name` makes of what it is given; `form` is how it should be declared.

    Raises:
        ParamError: it does not take that, or fails.
    """
    function = function_of(name)
    try:
        inspect.signature(function).bind(*given, **named)
    except TypeError as error:
        declared = form.format(name.partition(":")[2])
        raise ParamError(name, f"it cannot be called as it is ({error})", f"declare it as `{declared}`") from None
    except ValueError:  # Of what is written in C.
        pass
    with explained(name):
        return function(*given, **named)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what code of the function `name` raises into one line that says where.

    Raises:
        ParamError: it raised something.
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
    """What the function `name` builds.

    Raises:
        ParamError: it does not take these, fails, or builds no network.
    """
    body = call(name, SIGNATURE, channels=channels, classes=classes, size=size)
    if not isinstance(body, nn.Module):
        raise ParamError(name, f"it returns {_kind(body)}", "return a torch.nn.Module")
    return body


def head_name(name: str, body: nn.Module, *, channels: int, classes: int, size: int) -> str:
    """The name of the last linear layer of `body`, which `name` built, that has an output for each class.

    With a class more it must have one more: another layer may have as many outputs as there are classes just now. Empty
    where there is no such layer.
    """
    if not (layers := _linear_layers(body, classes)):
        return ""
    with torch.random.fork_rng(devices=[]):
        grown = _linear_layers(build_body(name, channels=channels, classes=classes + 1, size=size), classes + 1)
    return next((layer for layer in reversed(layers) if layer in grown), "")


def _linear_layers(body: nn.Module, outputs: int) -> list[str]:
    """The names of those with so many outputs, in order."""
    modules = body.named_modules()
    return [name for name, one in modules if isinstance(one, nn.Linear) and one.out_features == outputs]


def check_outputs(name: str, body: nn.Module, images: Tensor, classes: int) -> None:
    """See that `body`, which `name` built, gives each of `images` a logit a class, and the same ones again.

    Raises:
        ParamError: it does not, or fails.
    """
    modes = [(module, module.training) for module in body.modules()]
    body.eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]), explained(name):
        logits, again = body(images.clone()), body(images.clone())
    for module, training in modes:
        module.training = training
    wanted = (len(images), classes)
    if not isinstance(logits, Tensor) or logits.shape != wanted:
        found = tuple(logits.shape) if isinstance(logits, Tensor) else _kind(logits)
        what = f"for {len(images)} images it gives {found}, and not logits of shape {wanted}"
        raise ParamError(name, what, "let its last layer have `classes` outputs, whatever the images")
    if not torch.equal(logits, again):
        what = "in evaluation it gives the same images other logits each time"
        raise ParamError(name, what, "let random numbers and state of its own depend on `self.training`")


def check_rows(name: str, one: Shapes, other: Shapes, classes: int) -> None:
    """See that a class more, in the weights `other`, adds a row to some of the weights `one`, and changes nothing else.

    Raises:
        ParamError: it does not, so the network could not grow.
    """
    for weight in sorted(one.keys() | other.keys()):
        if weight not in one or weight not in other:
            what = f"{weight} is there for some numbers of classes only"
            raise ParamError(name, what, "let the last layer alone depend on `classes`")
        before, after = tuple(one[weight].shape), tuple(other[weight].shape)
        if before != after and (before, after) != ((classes, *before[1:]), (classes + 1, *before[1:])):
            what = f"{weight} has the shape {before} for {classes} classes, and {after} for one more"
            raise ParamError(name, what, "let the last layer alone depend on `classes`, with a row for each")


def _is_own(path: Path) -> bool:
    """Whether the file `path`, in the project's folder, is neither of the release nor of an installed package."""
    return not path.is_relative_to(Path(__file__).resolve().parent.parent) and "site-packages" not in path.parts


def _shown(path: Path) -> str:
    """`path` from the project's folder."""
    here = Path.cwd().resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _kind(value: object) -> str:
    return "nothing" if value is None else f"something of type {type(value).__name__}"
