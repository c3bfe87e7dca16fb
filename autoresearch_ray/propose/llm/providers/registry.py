"""The providers that there are, and what has to be known of each before its SDK is imported.

Another one is its module beside this one, an entry here, and its name in `proposer_spec.ProviderName`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """One provider; its module here has the name that `--proposer` gives it."""

    wire: str  # the class in its module that speaks its protocol
    sdk: str  # the module of its SDK
    package: str  # package to install: the oldest release whose behaviour was verified
    key_variables: tuple[str, ...]  # the first that is set counts
    address_variable: str  # variable that sends its SDK to another server
    needs_key: bool = True  # False: without a key its SDK finds credentials by itself


REGISTRY: dict[str, ProviderFacts] = {
    "anthropic": ProviderFacts(
        "AnthropicWire", "anthropic", "anthropic>=2.11", ("ANTHROPIC_API_KEY",), "ANTHROPIC_BASE_URL"
    ),
    "gemini": ProviderFacts(
        "GeminiWire",
        "google.genai",
        "google-genai>=3.4",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        "GOOGLE_GEMINI_BASE_URL",
    ),
    "openai": ProviderFacts("OpenAIWire", "openai", "openai>=3.52", ("OPENAI_API_KEY",), "OPENAI_BASE_URL"),
    "azure": ProviderFacts("AzureWire", "openai", "openai>=3.52", ("AZURE_OPENAI_API_KEY",), "AZURE_OPENAI_ENDPOINT"),
    "bedrock": ProviderFacts(
        "BedrockWire", "boto3", "boto3", ("AWS_BEARER_TOKEN_BEDROCK",), "ANTHROPIC_BEDROCK_BASE_URL", needs_key=False
    ),
    "vertex": ProviderFacts(
        "VertexWire",
        "google.genai",
        "google-genai>=3.4",
        ("GOOGLE_API_KEY",),
        "GOOGLE_VERTEX_BASE_URL",
        needs_key=False,
    ),
}
