"""Finds the servers: those that the environment or `.env` names, else the embedded stack that runs in this folder."""

import os
from collections.abc import Mapping
from pathlib import Path

import httpx
from afterturn_client.environment import FILE_SUFFIX
from afterturn_client.temporal_connection import temporal_options

from services.embedded.addresses import RunningStack, read_running_stack
from services.embedded.program import environment_of
from services.settings import EmbeddedSettings, load, read_dot_env

_ADDRESSES = ("DATABASE_URL", "REDIS_URL", "TEMPORAL_ADDRESS", "LLM_PROXY_URL")
_ASK_SECONDS = 5.0


def use_running_stack() -> RunningStack | None:
    """Point this process at the running stack, unless the environment names any server.

    One system is addressed as a whole: half of one and half of another would read here and write there.
    """
    read_dot_env()
    if named_servers():
        return None
    stack = find_running_stack()
    if stack is not None:
        point_at(stack)
    return stack


def named_servers() -> list[str]:
    """Give the variables by which the environment says where a server is."""
    named = [name for name in _ADDRESSES if os.environ.get(name) or os.environ.get(f"{name}{FILE_SUFFIX}")]
    if "TEMPORAL_ADDRESS" not in named and temporal_options().get("target_host"):
        named.append("TEMPORAL_PROFILE")
    return named


def find_running_stack() -> RunningStack | None:
    """Look in this folder and in those above it."""
    name = load(EmbeddedSettings).afterturn_folder
    here = Path.cwd()
    for folder in (here, *here.parents):
        if stack := read_running_stack(folder / name):
            return stack
    return None


def point_at(stack: RunningStack) -> None:
    use(environment_of(stack))
    for name, model in models_of(stack.llm_proxy_url).items():
        os.environ.setdefault(name, model)


def use(values: Mapping[str, str]) -> None:
    """Let these values stand in this process, and not what files say that its environment names."""
    for name in values:
        os.environ.pop(f"{name}{FILE_SUFFIX}", None)
    os.environ.update(values)


def models_of(llm_proxy_url: str) -> dict[str, str]:
    """Ask the proxy which models it was told to use; nothing where it does not say."""
    try:
        with httpx.Client(base_url=llm_proxy_url, timeout=_ASK_SECONDS, trust_env=False) as http:
            roles = http.get("/ready").json()["models"]
            return {"SUMMARY_MODEL": roles["summary"]["model"], "EMBEDDING_MODEL": roles["embedding"]["model"]}
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return {}
