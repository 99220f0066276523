"""Why an image cannot be used, raised by whatever looks at it."""


class UnusableError(ValueError):
    """An image that is refused: the reason, one of a few phrases, and what else is known."""

    def __str__(self) -> str:
        return ": ".join(self.args)

    @classmethod
    def without(cls, package: str, kind: str) -> "UnusableError":
        """That of a file of a `kind` that `package` reads, which is not installed."""
        then = f"run `pip install {package}`, then `dvc repro --force ingest`"
        return cls("unsupported format", f"{kind}; {then}, or convert it to PNG or JPEG")
