"""Unfinished work where other machines find it, so that any of them goes on when one is gone."""
