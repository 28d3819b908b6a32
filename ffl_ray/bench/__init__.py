"""What a machine does: `python -m ffl_ray.bench`.

options.py is the command line, for which nothing heavy is imported; train.py, study.py and
input.py each hold a subject: `measured(args)` gives its figures and what each side gave in
each round, and takes sides of others beside ours (`python -m benchmarks.compare`).
"""
