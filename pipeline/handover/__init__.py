"""Sharing unfinished work with other machines, so that any of them can continue it when one fails."""
