"""A renderer of small photos of a production line: material, flaw, light, camera, each a file."""
