"""What an error status or an error in mid-stream means: one kind, one clear line.

Kinds of error are the providers' own words (`overloaded_error`, `insufficient_quota`, `API_KEY_INVALID` ...); where
they say more than the status, they count.
"""

import re
from collections.abc import Collection

from autoresearch_ray.common.errors import (
    BadAnswerError,
    OverloadedError,
    ProviderError,
    ProviderRefusedError,
    ProviderTimeoutError,
    RateLimitedError,
)
from autoresearch_ray.common.text import one_line
from autoresearch_ray.propose.llm.providers.limits import too_long

NO_CREDIT = {
    "billing_error",
    "billing_hard_limit_reached",
    "billing_not_active",
    "insufficient_quota",
    "contract_spend_limit_reached",
    "enforced_spend_limit_reached",
    "linked_organization_spend_limit_reached",
    "linked_organization_billing_unavailable",
    "organization_on_hold",
}
BAD_KEY = {"authentication_error", "invalid_api_key", "API_KEY_INVALID", "API_KEY_EXPIRED", "UNAUTHENTICATED"}
STATUS_OF_KIND = {  # status of errors in mid-stream, where HTTP said 200
    "invalid_request_error": 400,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
TIMEOUTS = {408, 504, 524}  # a proxy gave up waiting; the provider may have done the work, and may charge for it
REFUSALS = {
    307: "the address sends elsewhere, where the key must not go; give the final one",
    308: "the address sends elsewhere, where the key must not go; give the final one",
    403: "not allowed with this key",
    404: "unknown model or address",
    413: "the prompt is too large",
}
MESSAGE_CHARS = 240


def failure(
    who: str, status: int, kinds: Collection[str], message: str, retry_after_seconds: float | None, variables: str
) -> ProviderError:
    """The error for a status (200: in mid-stream), the kinds that came with it and the provider's message.

    `who` is PROVIDER:MODEL, `variables` where the key comes from. The message must have no key in it any more.
    """
    if status < 300:
        status = next((_status(kind) for kind in kinds if _status(kind)), status)
    said = one_line(message, MESSAGE_CHARS)
    if long := too_long(who, status, kinds, said):
        return long
    kind, text = _meaning(status, set(kinds), said, variables)
    return kind(f"{who}: {text}", retry_after_seconds if kind in (RateLimitedError, OverloadedError) else None)


def _status(kind: str) -> int:
    """The HTTP status that a kind of error stands for, which some say as a number; 0 for none."""
    return int(kind) if re.fullmatch("[45][0-9][0-9]", kind) else STATUS_OF_KIND.get(kind, 0)


def _meaning(status: int, kinds: set[str], said: str, variables: str) -> tuple[type[ProviderError], str]:
    if NO_CREDIT & kinds or status == 402:
        return ProviderRefusedError, f"no credit, or a spending limit of the account is reached: {said}"
    if BAD_KEY & kinds or status == 401:
        return ProviderRefusedError, f"the key was refused ({status}); check {variables}"  # its text may repeat the key
    if status == 429:
        return RateLimitedError, f"rate limit (429): {said}"
    if status in TIMEOUTS:
        return ProviderTimeoutError, f"timed out on the provider's side ({status}): {said}"
    if status in (409, 425) or status >= 500:
        return OverloadedError, f"the provider fails or is overloaded ({status}): {said}"
    if status >= 300:
        return ProviderRefusedError, f"{REFUSALS.get(status, 'request refused')} ({status}): {said}"
    return BadAnswerError, f"the answer broke off with an error: {said}"
