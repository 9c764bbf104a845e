"""Which provider API key a call is made with, as a fingerprint: a keyed hash, never the key or a part.

Only with TOLLSPAN_HASH_KEY, and only of keys that last: what is made anew by the hour (OAuth and Entra
ID tokens, JWTs, session credentials of AWS roles) would be a new key each time, and has no fingerprint.
Where each SDK keeps its key is known; a client that signs in by other means has none.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from tollspan import attribution, semconv

from ._read import get

__all__ = ["fingerprint", "key_of"]

_logger = logging.getLogger("tollspan").getChild("keys")

_PLACES: tuple[tuple[str, ...], ...] = (
    ("api_key",),  # openai, anthropic, groq, together, portkey, google-genai's inner client
    ("_api_client", "api_key"),  # google-genai
    ("_client_wrapper", "_token"),  # cohere
    ("_client_wrapper", "token"),
    ("sdk_configuration", "security", "api_key"),  # mistralai
    ("_config", "credential", "key"),  # azure-ai-inference, with an AzureKeyCredential
    ("_credential", "key"),
    ("token",),  # huggingface_hub
)
_TURNING = ("_api_key_provider", "_azure_ad_token_provider", "_azure_ad_token")
"""Of a client that asks somebody for a new key again and again, or was given such a one."""

_SHORTEST, _LONGEST = 8, 512
_PASSING = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]*|ya29\..*|ASIA[A-Z0-9]+|bedrock-api-key-.*|<missing.*|.*\s.*",
    re.DOTALL,
)
"""JSON web tokens, Google's OAuth tokens, ids of AWS session credentials, Bedrock's short-term keys, and
what SDKs have where there is no key."""

_AWS_LASTING = ("Credentials", "AioCredentials")
"""Classes of credentials that botocore does not renew: asking others for their id may ask a server."""

_MOST_SEEN = 1000
_seen: set[str] = set()
"""Fingerprints that this process has told of; more than so many are no keys."""


def key_of(client: Any, given: Mapping[str, Any]) -> str | None:
    """The lasting key of `client`, or the one in the arguments of a function; None where there is none.

    Nothing is asked of anybody: a key that would have to be fetched is none.
    """
    stated = given.get("api_key")
    if client is None or stated is not None:
        return _lasting(stated)
    if (signer := getattr(client, "_request_signer", None)) is not None:
        return _of_aws(getattr(signer, "_credentials", None))
    if any(getattr(client, name, None) for name in _TURNING):
        return None
    aws = getattr(client, "aws_access_key", None)
    if aws is not None:  # anthropic's client for Bedrock
        return _lasting(aws)
    for path in _PLACES:
        if (found := _lasting(_at(client, path))) is not None:
            return found
    return None


def _at(client: Any, path: tuple[str, ...]) -> Any:
    found = get(client, *path)
    # Some keep a function that gives it; pydantic keeps it from being printed.
    hidden = getattr(found, "get_secret_value", None)
    return hidden() if callable(hidden) else found


def _of_aws(credentials: Any) -> str | None:
    """The id of an access key: it stands in every request, and names the key without opening anything."""
    lasting = type(credentials).__name__ in _AWS_LASTING
    return _lasting(getattr(credentials, "access_key", None)) if lasting else None


def _lasting(found: Any) -> str | None:
    if not isinstance(found, str) or not _SHORTEST <= len(found) <= _LONGEST:
        return None
    return None if _PASSING.fullmatch(found) else found


def fingerprint(asked: dict[str, Any], client: Any, given: Mapping[str, Any]) -> None:
    """Put the fingerprint of the key that a call is made with on it, if there is one.

    The first call of a process with a key is told in the log.
    """
    key = key_of(client, given)
    if key is None:
        return
    found = attribution.hashed(f"key {key}")
    asked[semconv.API_KEY_FINGERPRINT] = found
    if found not in _seen and len(_seen) < _MOST_SEEN:
        _seen.add(found)
        _logger.info(
            "first call of this process with the provider API key %s, of %s",
            found,
            asked.get(semconv.PROVIDER),
            extra={"event": semconv.EVENT_NEW_KEY, "fingerprint": found},
        )
