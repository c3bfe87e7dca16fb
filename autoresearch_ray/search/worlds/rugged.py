"""A landscape as training code has them: knobs that interact, edges behind which training diverges, and a plateau.

    landscape = Rugged(lay_out(read_knobs(source), rng), rng)

Same layout, same gains at the start and same floor as the bowl of that layout. But two of the important knobs and the
four settled ones form a rotated valley: where one is best depends on the others, so that moving one alone gains less
than moving it with its partners. The third important knob is a hole in a plateau: until a trial lands within two widths
of its optimum, nothing of it is seen. And one or both important knobs of the valley have an edge, 0.1 or more of the
range behind start and optimum, that another knob of the valley moves; beyond it training diverges.
"""

from dataclasses import dataclass

import numpy as np

from autoresearch_ray.search.worlds.landscape import IMPORTANT, Layout, Values, bend

COUPLING = 0.7  # 0: no interactions, 1: valleys without walls; eigenvalues of the correlations are at least 1 minus it
DIRECTIONS = 2  # in which the valley's knobs are coupled
HOLE_WIDTH = 0.1  # of a knob's range
EDGE_BEHIND = (0.1, 0.35)  # of a knob's range, behind start and optimum
EDGE_SLOPE = 0.5  # at most: by how much the edge moves as the other knob does
SECOND_EDGE = 0.5  # probability
DIVERGED = 300.0  # sd: 3 bpb at the usual noise


@dataclass(frozen=True, slots=True)
class _Edge:
    """Training diverges where side * (u[knob] - slope * u[other]) is above `at`; u is measured from the optimum."""

    knob: int
    other: int
    side: float
    slope: float
    at: float


class Rugged:
    """A valley along no axis, with edges, and a hole elsewhere."""

    def __init__(self, layout: Layout, rng: np.random.Generator) -> None:
        self._layout = layout
        self._hole = layout.important[IMPORTANT - 1 :]  # none where there are fewer knobs
        valley = np.concatenate([layout.important[: IMPORTANT - 1], layout.settled])
        start = layout.start - layout.centre
        self._curvature = np.diag(layout.steepness)
        self._curvature[self._hole, self._hole] = 0
        self._curvature[np.ix_(valley, valley)] = _couple(layout.steepness[valley], start[valley], rng)
        depth = layout.steepness[self._hole] * start[self._hole] ** 2
        self._depth = depth / _beside(start[self._hole])
        edges = layout.important[: IMPORTANT - 1][: 1 + (rng.random() < SECOND_EDGE)]
        self._edges = [_edge(int(knob), valley, start, rng) for knob in edges if len(valley) > 1]

    def loss(self, values: Values) -> float:
        """The true objective at these values, in sd above the floor; DIVERGED beyond an edge."""
        away = self._layout.away(values)
        if self._beyond(away):
            return DIVERGED
        valley, hole = away @ self._curvature @ away, self._depth @ _beside(away[self._hole])
        return bend(float(valley + hole)) + self._layout.of_options(values)

    def diverges(self, values: Values) -> bool:
        """Whether these values lie beyond an edge."""
        return self._beyond(self._layout.away(values))

    def _beyond(self, away: np.ndarray) -> bool:
        return any(edge.side * (away[edge.knob] - edge.slope * away[edge.other]) > edge.at for edge in self._edges)


def _couple(steepness: np.ndarray, start: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(knobs, knobs) curvature with random correlations, scaled to cost at the start what the knobs do alone."""
    factors = rng.normal(size=(len(steepness), DIRECTIONS))
    factors /= np.linalg.norm(factors, axis=1, keepdims=True)
    correlation = (1 - COUPLING) * np.eye(len(steepness)) + COUPLING * factors @ factors.T
    curvature = correlation * np.sqrt(np.outer(steepness, steepness))
    cost = start @ curvature @ start
    return np.asarray(curvature * ((steepness @ start**2) / cost if cost > 0 else 1.0))


def _beside(away: np.ndarray) -> np.ndarray:
    """0 in the middle of a hole, 1 on the plateau around it."""
    return np.asarray(1 - np.exp(-0.5 * (away / HOLE_WIDTH) ** 2))


def _edge(knob: int, valley: np.ndarray, start: np.ndarray, rng: np.random.Generator) -> _Edge:
    """Behind both the start and the optimum (which is 0), on either side of them."""
    other = int(rng.choice(valley[valley != knob]))
    side, slope = float(rng.choice([-1.0, 1.0])), float(rng.uniform(-EDGE_SLOPE, EDGE_SLOPE))
    furthest = max(0.0, side * (start[knob] - slope * start[other]))
    return _Edge(knob, other, side, slope, furthest + float(rng.uniform(*EDGE_BEHIND)))
