"""What a change is worth, before and after it was measured: an improvement, nothing that can be seen, or a loss.

Effects are on J: below 0 is better. The prior has heavy tails, because most changes do little and a few do much.
Evidence is Gaussian: an observed difference and its variance. The posterior has a closed form: a truncated normal for
each exponential component, a normal for the others.
"""

import math
from dataclasses import dataclass

LOWEST_LOG = -700.0  # of a weight: below it exp is 0
TAIL = -30.0  # below it the normal's cdf is taken from its asymptotic series
SQRT_2, HALF_LOG_2PI = math.sqrt(2), 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a prior. `mean` of an exponential is signed; a normal has an `sd` above 0."""

    weight: float
    mean: float
    sd: float = 0.0  # 0: exponential


Prior = tuple[Component, ...]
Part = tuple[float, float, float, float, float]  # location, sd and sign as of a belief's part; its mean and variance


@dataclass(frozen=True, slots=True)
class Belief:
    """The posterior of one effect."""

    mean: float
    variance: float
    parts: tuple[tuple[float, float, float, float], ...]  # weight, location, sd, sign; sign 0: a whole normal

    def chance_below(self, bar: float) -> float:
        """The probability that the effect is below `bar`."""
        return sum(weight * _cdf_of(location, sd, sign, bar) for weight, location, sd, sign in self.parts)


def believe(prior: Prior, observed: float, variance: float) -> Belief:
    """The posterior of an effect that was observed with a normal error of this variance (above 0)."""
    assert variance > 0, variance
    error, logs, parts = math.sqrt(variance), list[float](), list[Part]()
    for component in prior:
        if component.sd:
            log_evidence, part = _update_normal(component, observed, variance)
        else:
            log_evidence, part = _update_exponential(component, observed, variance, error)
        logs.append(math.log(component.weight) + log_evidence)
        parts.append(part)
    top = max(logs)
    weights = [math.exp(max(LOWEST_LOG, log - top)) for log in logs]
    total = sum(weights)
    mean = square = 0.0
    known = []
    for weight, (location, sd, sign, part_mean, part_variance) in zip(weights, parts, strict=True):
        share = weight / total
        mean += share * part_mean
        square += share * (part_variance + part_mean**2)
        known.append((share, location, sd, sign))
    return Belief(mean, max(square - mean**2, 1e-18), tuple(known))


def expect(prior: Prior) -> Belief:
    """The prior itself, as a belief: its exponentials stand in as normals with their moments."""
    parts = tuple((c.weight, c.mean, c.sd or abs(c.mean), 0.0) for c in prior)
    mean = sum(weight * location for weight, location, _, _ in parts)
    square = sum(weight * (sd**2 + location**2) for weight, location, sd, _ in parts)
    return Belief(mean, square - mean**2, parts)


def normal_cdf(x: float) -> float:
    """Of the standard normal distribution."""
    return 0.5 * math.erfc(-x / SQRT_2)


def _update_normal(component: Component, observed: float, variance: float) -> tuple[float, Part]:
    """Log density of the observation, and the posterior."""
    total = component.sd**2 + variance
    location = (component.mean * variance + observed * component.sd**2) / total
    log_evidence = -0.5 * ((observed - component.mean) ** 2 / total + math.log(2 * math.pi * total))
    sd = math.sqrt(component.sd**2 * variance / total)
    return log_evidence, (location, sd, 0.0, location, sd**2)


def _update_exponential(component: Component, observed: float, variance: float, sd: float) -> tuple[float, Part]:
    """The same; `sd` is the variance's root. The moments of a truncated normal are by the inverse Mills ratio."""
    sign, size = math.copysign(1.0, component.mean), abs(component.mean)
    seen = sign * observed
    location = seen - variance / size
    z = location / sd
    log_cdf = _log_cdf(z)
    log_evidence = variance / (2 * size**2) - seen / size - math.log(size) + log_cdf
    ratio = math.exp(-0.5 * z * z - HALF_LOG_2PI - log_cdf)
    mean, spread = sign * (location + sd * ratio), max(sd**2 * (1 - ratio * (ratio + z)), 0.0)
    return log_evidence, (sign * location, sd, sign, mean, spread)


def _cdf_of(location: float, sd: float, sign: float, bar: float) -> float:
    if not sign:
        return normal_cdf((bar - location) / sd)
    reach = sign * bar  # P(sign * x < reach) of the truncated normal
    if reach <= 0:
        below = 0.0
    else:
        z = sign * location / sd
        below = 1 - math.exp(min(0.0, _log_cdf(z - reach / sd) - _log_cdf(z)))
    return below if sign > 0 else 1 - below


def _log_cdf(x: float) -> float:
    if x > TAIL:
        return math.log(0.5 * math.erfc(-x / SQRT_2))
    return -0.5 * x * x - math.log(-x) - HALF_LOG_2PI + math.log1p(-1 / x**2)
