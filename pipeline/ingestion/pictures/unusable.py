"""The exception for images that cannot be used."""


class UnusableError(ValueError):
    """An image is refused; the arguments are the reason, one of a few fixed phrases, and the details."""

    def __str__(self) -> str:
        return ": ".join(self.args)

    @classmethod
    def without(cls, package: str, kind: str) -> "UnusableError":
        """Return the error for a file of the format `kind`, whose reader `package` is not installed."""
        then = f"run `pip install {package}`, then `dvc repro --force ingest`"
        return cls("unsupported format", f"{kind}; {then}, or convert it to PNG or JPEG")
