"""Experiment trackers: what a training tells them, and the process of their own in which Lightning's loggers run."""
