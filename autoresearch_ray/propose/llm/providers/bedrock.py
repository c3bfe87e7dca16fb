"""Claude on Amazon Bedrock, by Anthropic's own client: a bearer token, or whatever credentials AWS's tools find."""

import json

import anthropic

from autoresearch_ray.propose.llm.providers.anthropic import AnthropicWire, Client
from autoresearch_ray.propose.llm.providers.connection import http_client
from autoresearch_ray.propose.llm.providers.keys import Key
from autoresearch_ray.propose.llm.providers.watch import Patience


class BedrockWire(AnthropicWire):
    """See Wire in provider.py. `model` is an id or an inference profile, as in the console."""

    provider = "bedrock"

    def _connect(self, key: Key, base_url: str | None, patience: Patience) -> Client:
        text = key.reveal()
        signed = json.loads(text) if text.startswith("{") else {}
        return anthropic.AsyncAnthropicBedrock(
            api_key=None if signed else text or None,
            aws_access_key=signed.get("AWS_ACCESS_KEY_ID"),
            aws_secret_key=signed.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=signed.get("AWS_SESSION_TOKEN"),
            base_url=base_url,
            max_retries=0,  # retry.py does it
            http_client=http_client(patience),
        )
