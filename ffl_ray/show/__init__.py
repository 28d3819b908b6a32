"""A study watched, and steered, through its folder alone; `python -m ffl_ray.show` calls it."""
