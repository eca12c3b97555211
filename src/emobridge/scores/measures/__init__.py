"""Measures of how well a system does, one file each."""
