"""Upstream files for tests, and questions."""

import json
from pathlib import Path
from typing import Any

from tests.support.openai_server import OpenAIServer


def upstream_file(folder: Path, *upstreams: dict[str, Any], **more: Any) -> Path:
    path = folder / "upstreams.json"
    path.write_text(json.dumps({"upstreams": upstreams, **more}))
    return path


def entry(name: str, server: OpenAIServer, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "openai", "url": server.url, **more}


def question(text: str, *, model: str = "chat-model", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}
