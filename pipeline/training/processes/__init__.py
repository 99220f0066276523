"""Processes that train together, on one machine or on several: started, met, and given what one of them has."""
