"""Feature Fusion Learning, searched and trained on Ray, with its results in Parquet.

Start with `python -m ffl_ray.tune` or `python -m ffl_ray.train`; read a study with
`ffl_ray.results.load`. Importing the package loads neither torch nor ray.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
