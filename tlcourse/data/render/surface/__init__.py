"""Renders small photos of a production line. Material, flaw, light and camera have a file each."""
