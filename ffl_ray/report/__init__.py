"""What a study found, as a page, as Markdown, or as tables; `python -m ffl_ray.report` calls it.

A report is a list of sections (`sections.py`) of tables, plots and sentences (`blocks.py`), made
from the study's tables alone (`source.py`); `page.py` and `text.py` write it.
"""
