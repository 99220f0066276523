"""A temporary folder to train in, with links to the project's files, without its data."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline import paths
from pipeline.lineage.base import FIRST, write_none
from pipeline.models.imported import function_of
from pipeline.params import Params


@contextmanager
def aside(params: Params) -> Iterator[None]:
    """Make a temporary folder the working directory inside the block, and discard what is printed meanwhile.

    Raises:
        ParamError: the project's own code that `params` name cannot be imported.
    """
    for name in params.train.own.values():
        function_of(name)  # Import it from the project's folder; Python keeps the module.
    here = Path.cwd()
    with TemporaryDirectory(prefix="treering-try-") as temporary:
        for path in here.iterdir():
            if not path.name.startswith(".") and path.name != paths.DATA.name:
                (Path(temporary) / path.name).symlink_to(path)
        os.chdir(temporary)
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                write_none(paths.BASE, FIRST)
                yield
        finally:
            os.chdir(here)
