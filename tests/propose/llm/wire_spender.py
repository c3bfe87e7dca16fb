"""A process that spends until nothing is left: sixteen calls at once, to be killed at any moment.

python wire_spender.py STATE_DB URL LIMIT_DOLLARS
"""

import asyncio
import sys
from pathlib import Path

from wire_client import KEY, MODEL, PROMPT

from autoresearch_ray.common.errors import ProviderRefusedError
from autoresearch_ray.propose.llm.metered import Metered
from autoresearch_ray.propose.llm.prices import price
from autoresearch_ray.propose.llm.providers.connect import connect
from autoresearch_ray.propose.llm.providers.retry import Retrying
from autoresearch_ray.propose.llm.spending import Spending
from autoresearch_ray.store.sqlite.store import SqliteStore

RATES = price("3", "0.30", "15")


async def spend(spending: Spending, url: str) -> None:
    """Call until the limit refuses."""
    provider = connect("openai", MODEL, KEY, url)
    ask = Retrying(Metered(provider, provider.who, RATES, spending))

    async def until_spent() -> None:
        while True:
            await ask(PROMPT)

    done = await asyncio.gather(*(until_spent() for _ in range(16)), return_exceptions=True)
    assert all(isinstance(error, ProviderRefusedError) for error in done), done
    await provider.close()


if __name__ == "__main__":
    with SqliteStore(Path(sys.argv[1])) as store:
        asyncio.run(spend(Spending(store, float(sys.argv[3])), sys.argv[2]))
