"""Thin entry points for `ray job submit -- python jobs/<name>.py --config URI`."""
