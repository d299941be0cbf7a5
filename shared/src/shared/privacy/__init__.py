"""Personal data: erasing it, exporting it, and the keys that seal it."""
