"""docs/own-code.md shows the code that the tests run."""

import re

from conftest import ROOT

PAGE = (ROOT / "docs" / "own-code.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "docs" / "example" / "my_project"


def test_code_on_the_page_is_that_of_the_example() -> None:
    """Each block is a whole file, and each file of more than a docstring is a block."""
    shown = dict(re.findall(r"^`my_project/(\w+\.py)`:\n\n```python\n(.*?)```$", PAGE, flags=re.MULTILINE | re.DOTALL))
    files = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.py")}
    assert shown == {name: text for name, text in files.items() if name != "__init__.py"}
    assert PAGE.count("```python") == len(shown)
