"""A `.env` for another Temporal does not reach the programs of the embedded stack."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from services.embedded.addresses import StackAddresses
from services.embedded.ports import free_port
from services.embedded.program import Program, environment_of, our_programs

ROOT = Path(__file__).parents[3]
DOT_ENV = """
TEMPORAL_ADDRESS=cloud.example.org:7233
TEMPORAL_API_KEY_FILE=/nowhere/key
TEMPORAL_TLS_CLIENT_CERT_PATH=/nowhere/cert.pem
TEMPORAL_PROFILE=cloud
TEMPORAL_DEPLOYMENT_NAME=afterturn
TEMPORAL_WORKER_BUILD_ID=1.5.0
SUMMARY_MODEL=from-dot-env
"""
READ = """
import json
from afterturn_client.temporal_connection import temporal_options
from services.settings import DeploymentSettings, ModelSettings, load, read_dot_env
read_dot_env()
deployment = load(DeploymentSettings)
print(json.dumps([temporal_options(), deployment.temporal_deployment_name, load(ModelSettings).summary_model]))
"""


async def test_it_reads_the_rest_and_finds_our_temporal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TEMPORAL_") or name == "SUMMARY_MODEL"]:
        monkeypatch.delenv(name)
    await asyncio.to_thread((tmp_path / ".env").write_text, DOT_ENV)
    addresses = StackAddresses(
        database_url="postgresql://here",
        redis_url="redis://here",
        temporal_address="127.0.0.1:7233",
        temporal_ui_url="http://127.0.0.1:8233",
        llm_proxy_url="http://127.0.0.1:8000",
        api_url="http://127.0.0.1:8080",
    )
    worker = our_programs(free_port(), free_port())[1]
    program = Program(worker, addresses, environment_of(addresses), tmp_path, tmp_path / "worker.log")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        READ,
        cwd=program.working_folder(),
        env={**program.environment(), "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    options, deployment, summary_model = json.loads(out)
    assert (options["target_host"], options["namespace"]) == ("127.0.0.1:7233", "default")
    assert not options.get("tls")
    assert "api_key" not in options
    assert (deployment, summary_model) == ("", "from-dot-env")
