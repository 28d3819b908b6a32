"""What a GPU does with ffl_ray, against what was predicted of it, in eight minutes."""
