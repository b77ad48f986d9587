import json
from pathlib import Path
from typing import Any

import pytest

from services.domain.errors import InvalidInputError
from services.llm_proxy.app import create_app
from services.llm_proxy.upstream_file import FallbackEntry, TenantEntry, read_upstream_file
from services.llm_proxy.upstream_plan import plan_upstreams
from services.settings import ProxySettings

# The documentation's own example.
TOML = (Path(__file__).parents[3] / "docs" / "llm_proxy.md").read_text().split("```toml\n")[1].split("```")[0]
GPU: dict[str, Any] = {"name": "gpu", "kind": "ollama", "url": "http://gpu:11434"}


def written(folder: Path, text: str, name: str = "upstreams.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_example_of_the_documentation_is_read(tmp_path: Path) -> None:
    file = read_upstream_file(written(tmp_path, TOML))
    assert [entry.name for entry in file.upstreams] == ["gpu", "cloud"]
    assert file.upstreams[1].models[0].aliases == ("summary",)
    assert file.fallbacks["qwen3:32b"] == (
        FallbackEntry(model="summary"),
        FallbackEntry(model="qwen3:32b", upstream="cloud"),
    )
    assert file.tenants == {"company:7": TenantEntry(tokens_per_minute=1000, requests_per_minute=60)}


def test_the_same_in_json(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps({"upstreams": [GPU]}), "upstreams.json")
    assert read_upstream_file(path).upstreams[0].url == "http://gpu:11434"


@pytest.mark.parametrize(
    ("file", "field", "takes"),
    [
        ({}, "upstreams", "required"),
        ({"upstreams": []}, "upstreams", "at least 1"),
        ({"upstreams": [{**GPU, "kind": "vllm"}]}, "upstreams.0.kind", "'ollama', 'openai' or 'embedded'"),
        ({"upstreams": [{**GPU, "url": "gpu:11434"}]}, "upstreams.0.url", "pattern"),
        ({"upstreams": [{"name": "gpu", "kind": "ollama"}]}, "upstreams.0", "url"),
        ({"upstreams": [{**GPU, "kind": "embedded"}]}, "upstreams.0", "url"),
        ({"upstreams": [{**GPU, "max_concurrent": 0}]}, "upstreams.0.max_concurrent", "greater than 0"),
        ({"upstreams": [{**GPU, "api_key": "sk-1"}]}, "upstreams.0.api_key", "not permitted"),
        ({"upstreams": [{**GPU, "api_key_file": "/no/such/file"}]}, "upstreams.0.api_key_file", "file"),
        ({"upstreams": [{**GPU, "models": [{"name": ""}]}]}, "upstreams.0.models.0.name", "at least 1"),
        ({"upstreams": [{**GPU, "prompt_price": -1}]}, "upstreams.0.prompt_price", "0"),
        ({"upstreams": [GPU, GPU]}, "file", "name of its own"),
        ({"upstreams": [GPU], "fallbacks": {"m": [{"model": "n", "upstream": "x"}]}}, "file", "among upstreams"),
        ({"upstreams": [GPU], "fallbacks": {"m": "n"}}, "fallbacks.m", "tuple"),
        ({"upstreams": [GPU], "tenants": {"a": {"tokens_per_minute": 0}}}, "tenants.a.tokens_per_minute", "greater"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, file: dict[str, Any], field: str, takes: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        read_upstream_file(written(tmp_path, json.dumps(file), "upstreams.json"))
    assert raised.value.field == f"LLM_PROXY_UPSTREAMS: {field}"
    assert takes in raised.value.takes
    assert "sk-1" not in str(raised.value)


@pytest.mark.parametrize("name", ["upstreams.toml", "upstreams.json"])
def test_what_cannot_be_parsed_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match="LLM_PROXY_UPSTREAMS: takes a file in TOML"):
        read_upstream_file(written(tmp_path, "{[", name))


def test_keys_come_from_where_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ProxySettings(_env_file=None, llm_proxy_upstreams=written(tmp_path, TOML))
    monkeypatch.setenv("CLOUD_KEY", "sk-1")
    plan = plan_upstreams(settings)
    assert plan.keys == {"cloud": "sk-1"}
    assert "sk-1" not in repr(plan)
    monkeypatch.setenv("CLOUD_KEY", "")
    with pytest.raises(InvalidInputError, match="CLOUD_KEY: takes the API key of upstream cloud"):
        create_app(settings)
    secret = written(tmp_path, "sk-2\n", "key")
    upstream = {**GPU, "api_key_file": str(secret)}
    path = written(tmp_path, json.dumps({"upstreams": [upstream]}), "upstreams.json")
    assert plan_upstreams(ProxySettings(_env_file=None, llm_proxy_upstreams=path)).keys == {"gpu": "sk-2"}


def test_the_file_stands_in_for_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_KEY", "sk-1")
    settings = ProxySettings(
        _env_file=None, ollama_url_internal="http://other:1", llm_proxy_upstreams=written(tmp_path, TOML)
    )
    assert [entry.name for entry in plan_upstreams(settings).file.upstreams] == ["gpu", "cloud"]
