"""OpenAI's models on Azure: the same protocol at a resource's own address, where `model` is a deployment's name."""

import os

import openai

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.propose.llm.providers.connection import http_client
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.openai import OpenAIWire
from autoresearch_ray.propose.llm.providers.watch import Patience

VERSION = "2024-10-21"  # API version, unless OPENAI_API_VERSION names another


class AzureWire(OpenAIWire):
    """See Wire in provider.py."""

    provider = "azure"

    def _connect(self, key: Key, base_url: str | None, patience: Patience) -> openai.AsyncOpenAI:
        endpoint = base_url or os.environ.get("AZURE_OPENAI_ENDPOINT")
        if not endpoint:
            raise SettingsError(
                f"--proposer azure:{self._model}: AZURE_OPENAI_ENDPOINT is not set; expected your resource's address, "
                "as https://NAME.openai.azure.com"
            )
        return openai.AsyncAzureOpenAI(
            api_key=key.reveal(),
            azure_endpoint=endpoint,
            api_version=os.environ.get("OPENAI_API_VERSION") or VERSION,
            max_retries=0,  # retry.py does it
            http_client=http_client(patience),
        )
