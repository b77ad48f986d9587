"""How Temporal is reached: by its own environment variables and profiles, with our data converter."""

import os
from dataclasses import replace
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.runtime import Runtime

from afterturn_client.environment import given
from afterturn_client.errors import InvalidFieldError
from afterturn_client.payload_keys import NO_KEYS, PAYLOAD_KEYS, PayloadKeys, read_payload_keys

_API_KEY = "TEMPORAL_API_KEY"
_CONFIG_FILE = "TEMPORAL_CONFIG_FILE"


async def open_temporal(
    address: str | None = None,
    namespace: str | None = None,
    runtime: Runtime | None = None,
    *,
    payload_keys: str | None = None,
    lazy: bool = True,
) -> Client:
    """Return a client; a `lazy` one connects with its first call, so that Temporal may be down now.

    What is left out is read from `TEMPORAL_ADDRESS` and its kin, and from `AFTERTURN_PAYLOAD_KEYS`. A forked process
    needs a `runtime` of its own where its parent has used one: threads are not forked.
    """
    options = temporal_options()
    options["target_host"] = address or options.get("target_host") or "localhost:7233"
    options["namespace"] = namespace or options.get("namespace") or "default"
    written = payload_keys or given(PAYLOAD_KEYS)
    converter = data_converter(read_payload_keys(written) if written else NO_KEYS)
    return await Client.connect(**options, data_converter=converter, lazy=lazy, runtime=runtime)


def data_converter(keys: PayloadKeys) -> DataConverter:
    """Give a converter that encrypts and decrypts with these keys."""
    if not keys.by_name:
        return pydantic_data_converter
    try:
        from afterturn_client.payload_codec import EncryptingCodec  # noqa: PLC0415  cryptography is an extra
    except ModuleNotFoundError:
        raise InvalidFieldError(PAYLOAD_KEYS, "nothing without the package's extra `encryption`") from None
    converter = replace(pydantic_data_converter, payload_codec=EncryptingCodec(keys))
    if keys.encrypting is None:
        return converter
    # What a step failed with, and where, is encrypted too.
    return replace(converter, failure_converter_class=DefaultFailureConverterWithEncodedAttributes)


def temporal_options() -> ClientConnectConfig:
    """Read what the environment and Temporal's own profiles say of the connection."""
    key, file = given(_API_KEY), os.environ.get(_CONFIG_FILE)
    if file and not Path(file).is_file():
        raise InvalidFieldError(_CONFIG_FILE, "the path of a file that can be read")
    # What is empty is not set: Temporal's client would look for a certificate without a name.
    environment = {name: value for name, value in os.environ.items() if value or not name.startswith("TEMPORAL_")}
    if key:
        environment[_API_KEY] = key
    try:
        return ClientConfig.load_client_connect_config(override_env_vars=environment)
    except OSError as error:
        raise InvalidFieldError(_naming(error.filename), "the path of a file that can be read") from None
    except RuntimeError as error:
        # Its other lines quote the file, which may hold a key.
        first, _, _ = str(error).partition("\n")
        raise InvalidFieldError(_CONFIG_FILE, f"what Temporal's client can read ({first})") from None


def _naming(path: str | None) -> str:
    """Find the variable that names a file."""
    named = (name for name, value in os.environ.items() if name.startswith("TEMPORAL_") and value == path)
    return next(named, _CONFIG_FILE)
