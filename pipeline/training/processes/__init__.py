"""Distributed training on one or several machines: launching, rendezvous, and distribution of files."""
