"""Gemini on Google Cloud's Vertex AI: an API key (express mode), or whatever credentials Google's tools find."""

import os

from google import genai
from google.auth.exceptions import GoogleAuthError
from google.genai import types

from autoresearch_ray.common.errors import SettingsError
from autoresearch_ray.propose.llm.providers.gemini import GeminiWire
from autoresearch_ray.propose.llm.providers.keys import Key


class VertexWire(GeminiWire):
    """See Wire in provider.py."""

    provider = "vertex"
    broken = (*GeminiWire.broken, GoogleAuthError)

    def _connect(self, key: Key, options: types.HttpOptions) -> genai.Client:
        if key.reveal():
            return genai.Client(api_key=key.reveal(), vertexai=True, http_options=options)
        project = os.environ.get("GOOGLE_CLOUD_PROJECT")
        location = os.environ.get("GOOGLE_CLOUD_LOCATION") or "global"
        try:
            return genai.Client(vertexai=True, project=project, location=location, http_options=options)
        except (ValueError, GoogleAuthError) as error:
            raise SettingsError(
                f"--proposer vertex:{self._model}: {error}; expected GOOGLE_CLOUD_PROJECT and credentials "
                "(gcloud auth application-default login), or GOOGLE_API_KEY"
            ) from None
