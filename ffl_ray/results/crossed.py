"""Effects measured with several seeds on the same images: a mean, and what of it is chance.

Seeds and images are both drawn, and every seed meets every image: a crossed design of two random
effects without replication (Searle, Casella and McCulloch 1992, "Variance Components", chapter 4).
A mean over both has the variance of its seeds and that of its images, each estimated on its own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import bisect
from scipy.special import nctdtrinc, ndtri, stdtrit

from ffl_ray.results.looks import FIRST_LOOK, IMAGES_SHARE, nominal
from ffl_ray.results.statistics import Summary

ALPHA = 0.05
POWER = 0.8
MOST_SEEDS = 1000
LEAST_P = 1e-12
NORMAL_FROM = 1000.0  # degrees of freedom; scipy's noncentral t is slow and wrong far beyond


class Effect(NamedTuple):
    """The mean of a quantity over n seeds and the images of a test split.

    Attributes:
        n: seeds.
        mean: over seeds and images.
        over_seeds: variance of the mean that comes of the seeds; n - 1 degrees of freedom.
        over_images: variance of the mean that comes of the images; of many degrees.
        least: what that of the seeds is at least; of many degrees.
        looks: how often it is looked at, after each seed, and may end; of several, its intervals
            hold at all of them.
        first: seeds of the first look.
    """

    n: int
    mean: float
    over_seeds: float
    over_images: float
    least: float = 0.0
    looks: int = 1
    first: int = FIRST_LOOK

    def half(self, alpha: float = ALPHA) -> float:
        """Half the two-sided interval of confidence 1 - alpha.

        sqrt(t^2 v + z^2 w), t of n - 1 degrees: never of less confidence than asked, whatever the
        two variances v and w are (Banerjee 1960, "Approximate confidence interval for linear
        functions of means of k populations", Calcutta Statistical Association Bulletin 9, 197).
        For t^2 v there stands z^2 times the least variance where that is more.
        """
        of_images = alpha
        if self.looks > 1:
            if self.n < self.first:
                return math.inf
            alpha, of_images = nominal(alpha, self.looks, self.first), IMAGES_SHARE * alpha
        t, z = stdtrit(self.n - 1, 1 - alpha / 2), ndtri(1 - of_images / 2)
        of_seeds = max(t**2 * self.over_seeds, z**2 * self.least)
        return float(math.sqrt(of_seeds + z**2 * self.over_images))

    def p_beyond(self, distance: float) -> float:
        """The two-sided p of a mean so far from what it is tested against.

        It is the alpha at which the interval just reaches so far.
        """
        distance, low, high = abs(distance), math.log(LEAST_P), math.log(1 - LEAST_P)
        if self.half(1 - LEAST_P) >= distance:
            return 1.0
        if self.half(LEAST_P) <= distance:
            return LEAST_P
        # An interval may be infinite, so only its side counts.
        alpha = bisect(lambda log: self.half(math.exp(log)) > distance or -1, low, high, xtol=1e-9)
        return math.exp(alpha)

    def p_different(self) -> float:
        """The p of the hypothesis that the true mean is 0."""
        return self.p_beyond(self.mean)

    def p_equal(self, margin: float) -> float:
        """The p of the hypothesis that the true mean is a margin or more away from 0.

        Two one-sided tests (Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15,
        657); the larger p counts.
        """
        inside = margin - abs(self.mean)
        half = self.p_beyond(inside) / 2
        return half if inside > 0 else 1 - half

    def with_seeds(self, n: int) -> Effect:
        """The same effect as it would be expected with another number of seeds, looked at once."""
        share, least = self.n / n, self.least * self.n / n
        return self._replace(n=n, over_seeds=self.over_seeds * share, least=least, looks=1)

    def detectable(self, alpha: float = ALPHA, power: float = POWER) -> float:
        """The smallest true effect that is found different from 0 with this power.

        By the noncentral t distribution, whose degrees are Satterthwaite's (1946, Biometrics
        Bulletin 2, 110).
        """
        of_seeds = max(self.over_seeds, self.least)
        variance = of_seeds + self.over_images
        if variance == 0:
            return 0.0
        error, half = math.sqrt(variance), self.half(alpha)
        if math.isinf(half):
            return math.inf
        share = of_seeds / variance
        degrees = math.inf if share == 0 else (self.n - 1) / share**2
        if degrees > NORMAL_FROM:
            return half + error * float(ndtri(power))
        return error * float(nctdtrinc(degrees, 1 - power, half / error))

    def settled_by(self, margin: float | None, alpha: float = ALPHA) -> int | None:
        """How many seeds of a fixed plan would settle it, were the effect what was measured.

        They would show a difference with a power of 80%, or that there is none beyond the margin.

        Returns:
            None where a thousand would not: `lacks_images` says whether images would.
        """
        low, high = 2, MOST_SEEDS
        if not self.with_seeds(high)._settles(margin, alpha):
            return None
        while low < high:
            middle = (low + high) // 2
            if self.with_seeds(middle)._settles(margin, alpha):
                high = middle
            else:
                low = middle + 1
        return low

    def lacks_images(self, margin: float | None, alpha: float = ALPHA) -> bool:
        """Whether more images would settle what no seeds do, and nothing else would.

        It is open then with no variance over seeds too, and with none over images it is not. Else
        the difference is too small to tell, or too near the margin.
        """
        many = self.with_seeds(MOST_SEEDS)
        of_images, of_seeds = many._replace(over_seeds=0.0, least=0.0), many._replace(over_images=0)
        return of_seeds._settles(margin, alpha) and not of_images._settles(margin, alpha)

    def _settles(self, margin: float | None, alpha: float) -> bool:
        if self.detectable(alpha) <= abs(self.mean):
            return True
        if margin is None:
            return False
        # Each of the two tests may miss half of what both may.
        return self.detectable(2 * alpha, (1 + POWER) / 2) <= margin - abs(self.mean)

    def summary(self, std: float | None) -> Summary:
        """The mean with its 95% interval.

        Args:
            std: of the seeds' means.
        """
        if self.n < 2:
            return Summary(self.n, self.mean, None, None, None)
        half = self.half()
        return Summary(self.n, self.mean, std, self.mean - half, self.mean + half)


def crossed(values: Float[np.ndarray, "seeds images"], *, step: float = 0.0) -> Effect:
    """The effect of a quantity that was measured with every seed on every image.

    With mean squares A of seeds, B of images and E of what is left, the mean over S seeds and I
    images has the variances A / (S I) from seeds and (B - E) / (S I) from images. In truth A is at
    least E, so the least variance is E / (S I): two seeds of equal means do not say that all are.

    Args:
        step: what one image can change by; an accuracy's differences are whole images, few of
            which say little about their variance. So much is added to one image of all (as half
            an image to each cell of a paired table, Agresti and Min 2005, Statistics in Medicine
            24, 729), and no interval is narrower than about two images to each side.
    """
    seeds, images = values.shape
    by_seed, by_image, mean = values.mean(1), values.mean(0), float(values.mean())
    over_images = (step / images) ** 2
    if seeds < 2 or images < 2:
        return Effect(seeds, mean, 0.0, over_images)
    left = values - by_seed[:, None] - by_image[None, :] + mean
    e = float((left**2).sum()) / ((seeds - 1) * (images - 1))
    a = images * float(by_seed.var(ddof=1))
    b = max(seeds * float(by_image.var(ddof=1)) - e, 0.0)
    count = seeds * images
    return Effect(seeds, mean, a / count, b / count + over_images, e / count)


def over_seeds(found: Summary, *, images: int | None = None) -> Effect:
    """The effect of a quantity of which only each seed's mean is known.

    Args:
        found: of the seeds' means; one at least.
        images: of an accuracy: how many it is of, whose step is added as `crossed` does.
    """
    variance = 0.0 if found.std is None else found.std**2 / found.n
    return Effect(found.n, found.mean or 0.0, variance, 0.0 if images is None else images**-2.0)
