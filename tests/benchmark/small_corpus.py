"""Documents of common words, with multi-byte letters, tabs and double spaces."""

import random

WORDS = ["the", "cat", "sat", "on", "a", "mat", "–", "and", "then", "1234", "grüne", "fish,", "didn't", "it?", "\t", ""]


def some_documents(count: int, seed: int = 0) -> list[str]:
    """Distinct documents of 20 to 120 words."""
    rng = random.Random(seed)
    return [f"{i}: " + " ".join(rng.choices(WORDS, k=rng.randint(20, 120))) for i in range(count)]
