"""What Python code imports, read from its source; TYPE_CHECKING blocks do not count."""

import ast
from collections.abc import Iterator


def run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes except those for type checkers only: code inside functions counts, too."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        children: list[ast.AST] = list(node.orelse)
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from run_time(child)


def imported_names(tree: ast.Module, package: str) -> Iterator[str]:
    """Yield the full names that `tree`, a module in `package`, imports, including imports inside functions."""
    for node in run_time(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, [above, node.module]))
            yield from (f"{source}.{alias.name}" for alias in node.names)
