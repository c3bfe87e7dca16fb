"""Models at Azure, Amazon Bedrock and Google's Vertex AI: real SDK clients, their paths and their authentication."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from wire import Fail, Say, WireServer
from wire_client import PATIENT, PROMPT
from wire_vertex import LOCATION, PROJECT

from autoresearch_ray.common.errors import ProviderRefusedError, RateLimitedError, SettingsError
from autoresearch_ray.propose.llm.calls import Answer
from autoresearch_ray.propose.llm.prices import find_price
from autoresearch_ray.propose.llm.providers.connect import connect
from autoresearch_ray.propose.llm.providers.keys import Key, load_key

AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-aws", "AWS_SESSION_TOKEN": "session"}
CLAUDE = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"


def call(provider: str, model: str, key: Key, url: str | None = None) -> Answer:
    async def run() -> Answer:
        asked = connect(provider, model, key, url, PATIENT)
        try:
            return await asked(PROMPT)
        finally:
            await asked.close()

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None of whoever runs the tests."""
    for name in (*AWS, "AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE", "GOOGLE_API_KEY", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")


def test_azure_is_asked_at_the_deployment_with_the_api_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with WireServer("azure", [Say("hello")]) as server:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.url)
        key = load_key("azure", {"AZURE_OPENAI_API_KEY": "key-of-azure"})
        answer = call("azure", "my-deployment", key)
    (request,) = server.requests
    assert answer.text == "hello" and answer.output_tokens > 0
    assert request.headers["api-key"] == "key-of-azure" and "api-version=2024-10-21" in request.path


def test_azure_without_an_address_is_one_line() -> None:
    with pytest.raises(SettingsError, match=r"AZURE_OPENAI_ENDPOINT is not set; expected your resource's address"):
        connect("azure", "d", Key("key-of-azure"))


def test_bedrock_signs_with_the_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with WireServer("bedrock", [Say("hello")]) as server:
        monkeypatch.setenv("ANTHROPIC_BEDROCK_BASE_URL", server.url)
        answer = call("bedrock", CLAUDE, load_key("bedrock", AWS))
    (request,) = server.requests
    assert answer.text == "hello" and (answer.input_tokens, answer.output_tokens) != (0, 0)
    signed = request.headers["authorization"]
    assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") and "/eu-west-1/bedrock/" in signed
    assert request.headers["x-amz-security-token"] == "session" and "secret-of-aws" not in str(request.headers)
    assert request.model == CLAUDE


def test_bedrock_takes_a_bearer_token_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with WireServer("bedrock", [Say("hello")]) as server:
        monkeypatch.setenv("ANTHROPIC_BEDROCK_BASE_URL", server.url)
        call("bedrock", CLAUDE, load_key("bedrock", {"AWS_BEARER_TOKEN_BEDROCK": "token-of-bedrock"}))
    assert server.requests[0].headers["authorization"] == "Bearer token-of-bedrock"


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (429, RateLimitedError, "Too many"),
        (403, ProviderRefusedError, "not allowed"),
        (404, ProviderRefusedError, "No"),
    ],
)
def test_what_bedrock_refuses_is_told(
    status: int, error: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WireServer("bedrock", [Fail(status, message=f"{words} such thing")]) as server:
        monkeypatch.setenv("ANTHROPIC_BEDROCK_BASE_URL", server.url)
        with pytest.raises(error, match=rf"bedrock:{CLAUDE}.*{words}"):
            call("bedrock", CLAUDE, load_key("bedrock", AWS))


@contextmanager
def token_server() -> Iterator[str]:
    """Google's, which gives a token for a signed assertion."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["content-length"])).decode()
            good = "assertion=" in asked and "jwt-bearer" in asked
            body = json.dumps({"access_token": "token-of-vertex", "expires_in": 3600, "token_type": "Bearer"}).encode()
            self.send_response(200 if good else 400)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/token"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_vertex_is_asked_below_project_and_location_with_a_token_of_the_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with WireServer("vertex", [Say("hello")]) as server, token_server() as tokens:
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key": made.decode(),
            "client_email": "a@my-project.iam.gserviceaccount.com",
            "token_uri": tokens,
        }
        (tmp_path / "account.json").write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
        monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", LOCATION)
        answer = call("vertex", "gemini-2.5-flash", load_key("vertex", {}), server.url)
    assert answer.text == "hello" and server.requests[0].headers["authorization"] == "Bearer token-of-vertex"


def test_vertex_without_credentials_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    with pytest.raises(SettingsError, match=r"--proposer vertex:m: .*expected GOOGLE_CLOUD_PROJECT and credentials"):
        connect("vertex", "m", Key(""))


def test_their_models_have_prices_of_their_own() -> None:
    assert find_price("bedrock", "anthropic.claude-haiku-4-5-20251001-v1:0") is not None
    assert find_price("vertex", "gemini-2.5-flash") == find_price("gemini", "gemini-2.5-flash") is not None
