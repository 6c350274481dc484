"""Draws the embedded pictures."""
