"""An exported model that was read back, whatever runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ffl_ray.exported.about import About

Array = np.ndarray
Run = Callable[[Float[Array, "batch channels height width"]], Float[Array, "batch classes"]]


class Model(NamedTuple):
    """A model that was read back.

    Attributes:
        about: what it says of itself.
        run: from images in [0, 1] to logits.
    """

    about: About
    run: Run
