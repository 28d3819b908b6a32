"""A study on one page, as Markdown, or as tables; `python -m ffl_ray.report` calls it.

A report is a list of sections (`sections.py`) of tables, plots and sentences (`blocks.py`), made
from the study's tables alone (`source.py`); `html.py` draws, `page.py` and `text.py` write it.
"""
