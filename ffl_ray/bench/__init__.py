"""What `python -m ffl_ray.bench` measures.

train.py, study.py, tables.py and input.py each hold a subject: `add_options(parser)`, for which
nothing heavy is imported, and `run(args) -> Found`.
"""
