"""A short tour through all towns: pieces of it are turned round, and worse tours are taken as long as it is hot."""

import json
import math
import random

HOT = 1.0  # temperature at the start, in mean distances; search log(0.01, 10.0)
COLD = 0.1  # at the end; search log(0.0001, 1.0)
LONGEST = 100  # towns in a piece that is turned; search log_int(3, 119)
STEPS = 500_000  # that may be tried

towns = [(i * i * 37 % 1009 / 1009, i * 911 % 1013 / 1013) for i in range(1, 121)]
tour = list(range(len(towns)))
random.seed(42)
random.shuffle(tour)


def distance(i, j):
    return math.dist(towns[tour[i % len(tour)]], towns[tour[j % len(tour)]])


for step in range(STEPS):
    heat = HOT * (COLD / HOT) ** (step / STEPS)
    first = random.randrange(len(tour) - 1)
    last = min(first + random.randint(1, LONGEST), len(tour) - 1)
    longer = (
        distance(first - 1, last) + distance(first, last + 1) - distance(first - 1, first) - distance(last, last + 1)
    )
    if longer < 0 or random.random() < math.exp(-longer / (heat * 0.5)):
        tour[first : last + 1] = reversed(tour[first : last + 1])

length = sum(distance(i, i + 1) for i in range(len(tour)))
with open("result.json", "w") as file:
    json.dump({"tour": {"length": length, "towns": len(tour)}}, file)
