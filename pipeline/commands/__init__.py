"""The subcommands of `pipeline`, the command line that complements `dvc repro`."""
