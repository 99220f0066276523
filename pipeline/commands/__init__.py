"""The command line: what people run besides `dvc repro`."""
