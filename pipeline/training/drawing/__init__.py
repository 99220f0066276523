"""Sampling: which images a training draws, how many, in which order, and the random numbers of each."""
