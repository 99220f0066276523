"""Experiment trackers: what training logs to them, and the separate process in which Lightning's loggers run."""
