"""What the compose files and the Dockerfile must hold, whatever else they say."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services import settings
from services.embedded.temporal_server import DYNAMIC_CONFIG
from services.settings import ResourceSettings
from tests.support.compose_file import ComposeService, VariableMissingError, parsed, read_services, variables_of
from tests.support.go_programs import COMPOSE

FOLDER = Path(__file__).parents[3] / "compose"
FILES = [FOLDER / "core.yml", FOLDER / "observability.yml"]
EXAMPLE = (FOLDER / ".env.example").read_text()
FILLED = dict.fromkeys(
    ("POSTGRES_PASSWORD", "AFTERTURN_DB_PASSWORD", "TEMPORAL_DB_PASSWORD", "REDIS_PASSWORD", "LLM_PROXY_API_KEY"), "x"
)
# These are for Temporal's client, which reads them itself.
NO_SETTINGS = {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"}


def services(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = parsed(path)["services"]
    return found


EACH = [pytest.param(name, given, id=name) for path in FILES for name, given in services(path).items()]
OURS = [pytest.param(given, id=name) for name, given in services(FILES[0]).items() if "build" in given]


@pytest.mark.proof
@pytest.mark.parametrize("files", [FILES[:1], FILES], ids=["core", "with observability"])
def test_compose_itself_reads_them(files: list[Path]) -> None:
    """By compose's own library: the schema, and that services, networks and volumes that are named exist."""
    program = COMPOSE.build() / "compose-spec"
    checked = subprocess.run(
        [program, "--no-interpolation", *files], capture_output=True, text=True, cwd=FOLDER, timeout=60, check=False
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_variable_is_in_the_example(path: Path) -> None:
    missing = [
        name for name in variables_of(path.read_text()) if not re.search(rf"^(# )?{name}=", EXAMPLE, re.MULTILINE)
    ]
    assert missing == []


def test_defaults_are_those_of_the_example() -> None:
    for path in FILES:
        for name, stands_in in variables_of(path.read_text()).items():
            given = re.search(rf"^{name}=(.*)$", EXAMPLE, re.MULTILINE)
            assert given is None or stands_in in (given[1], None), name


def test_secrets_must_be_given() -> None:
    wanted = {name for name, stands_in in variables_of(FILES[0].read_text()).items() if stands_in is None}
    assert wanted == FILLED.keys()
    with pytest.raises(VariableMissingError):
        read_services(FILES[0], dict.fromkeys(wanted - {"REDIS_PASSWORD"}, "given"))


def test_what_stands_in_may_have_a_variable_of_its_own() -> None:
    """Of the address of Temporal's pages, whose port can be set, and which can be set whole."""
    assert ui_url() == "http://localhost:8233"
    assert ui_url(TEMPORAL_UI_PORT="9000") == "http://localhost:9000"
    assert ui_url(TEMPORAL_UI_PORT="9000", TEMPORAL_UI_URL="https://ui.example.org") == "https://ui.example.org"


def test_a_postgres_of_ones_own_is_told_to_all_who_need_it_and_can_be_reached() -> None:
    own = "postgresql://afterturn:x@db.example.org:5432/afterturn"
    told = {name: one.environment["DATABASE_URL"] for name, one in ours_with(AFTERTURN_DATABASE_URL=own).items()}
    assert set(told.values()) == {own}
    assert {"migrate", "worker", "memory_api"} <= told.keys()
    assert all("outside" in services(FILES[0])[name]["networks"] for name in told)
    # The example's address is that of one machine without containers.
    without = ours_with(DATABASE_URL="postgresql://postgres@localhost:5432/afterturn", AFTERTURN_DATABASE_URL="")
    assert {one.environment["DATABASE_URL"] for one in without.values()} == {
        "postgresql://afterturn:x@postgres:5432/afterturn"
    }


def test_what_ends_is_waited_for() -> None:
    """`docker compose up --wait` fails for whatever ends well, and is waited for by nobody to have done so."""
    found = read_services(FILES[0], FILLED)
    waited_for = {
        other
        for one in found.values()
        for other, condition in one.waits_for.items()
        # Who waits must be there whenever the other one is.
        if condition == "service_completed_successfully" and one.profiles in ([], found[other].profiles)
    }
    assert {name for name, one in found.items() if one.runs_once} == waited_for


def test_who_pulls_the_models_stays(tmp_path: Path) -> None:
    for name in ("ollama", "sleep"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@"\n')
        program.chmod(0o755)
    pulling = read_services(FILES[0], FILLED)["ollama_models"]
    told = {**pulling.environment, "PATH": str(tmp_path)}
    done = subprocess.run(pulling.command, env=told, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["ollama pull qwen3:32b", "ollama pull bge-m3", "sleep infinity"]
    # Sleep alone, as the first process, would not hear that it is to end.
    assert services(FILES[0])["ollama_models"]["init"] is True


@pytest.mark.parametrize("given", OURS)
def test_what_our_services_are_told_are_settings(given: dict[str, Any]) -> None:
    known = {
        name.upper()
        for kind in vars(settings).values()
        if isinstance(kind, type) and issubclass(kind, ResourceSettings)
        for name in kind.model_fields
    }
    assert set(given["environment"]) - known <= NO_SETTINGS


@pytest.mark.parametrize(("name", "given"), EACH)
def test_only_what_people_open_is_published_and_on_loopback(name: str, given: dict[str, Any]) -> None:
    ports = given.get("ports", [])
    assert all(port.startswith("${PUBLISH_ON:-127.0.0.1}:") for port in ports)
    assert bool(ports) == (name in {"temporal_ui", "memory_api", "grafana", "prometheus"})


@pytest.mark.parametrize(("name", "given"), EACH)
def test_images_are_pinned_and_what_stays_has_a_limit(name: str, given: dict[str, Any]) -> None:
    _, _, tag = given["image"].partition(":")
    assert tag
    assert tag != "latest"
    stays = given.get("restart") == "unless-stopped"
    assert stays != (given.get("restart") == "no")
    assert not stays or given["deploy"]["resources"]["limits"]["memory"], name


@pytest.mark.parametrize("given", OURS)
def test_ours_may_do_nothing_but_run(given: dict[str, Any]) -> None:
    assert given["read_only"] is True
    assert given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges:true"]
    assert f"AS {given['build']['target']}\n" in (FOLDER / "Dockerfile").read_text()


def test_a_program_is_waited_for_as_long_as_its_work_may_take() -> None:
    ours = services(FILES[0])
    assert seconds(ours["worker"]["stop_grace_period"]) > settings.WorkerSettings().shutdown_seconds
    assert seconds(ours["llm_proxy"]["stop_grace_period"]) > settings.ProxySettings().completion_timeout + 5
    assert seconds(ours["memory_api"]["stop_grace_period"]) > 65


def test_redis_keeps_what_it_acknowledged() -> None:
    command = services(FILES[0])["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"


def test_temporal_is_as_fair_as_the_embedded_one() -> None:
    told = yaml.safe_load((FOLDER / "temporal" / "dynamic.yaml").read_text())
    assert {f"{name}={str(value[0]['value']).lower()}" for name, value in told.items()} == set(DYNAMIC_CONFIG)


def test_the_images_hold_what_was_tested() -> None:
    """The lock of the images is a part of the checkout's."""
    ours, all_ = (pins(path) for path in (FOLDER / "requirements.lock", FOLDER.parent / "requirements.lock"))
    assert {name: all_.get(name) for name in ours} == ours
    assert {"temporalio", "fastapi", "redis"} <= set(ours)
    assert not {"pytest", "xllamacpp"} & set(ours)


def test_the_images_run_as_nobody_special() -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text()
    stages = re.split(r"^FROM ", dockerfile, flags=re.MULTILINE)
    program = next(stage for stage in stages if " AS program" in stage.split("\n", 1)[0])
    assert re.search(r"^USER 10001:10001$", program, re.MULTILINE)
    assert dockerfile.count("USER ") == 1
    assert "--require-hashes" in dockerfile


@pytest.mark.parametrize("script", [*FOLDER.glob("*/*.sh"), FOLDER / "afterturn"], ids=lambda path: path.name)
def test_scripts_can_be_read_by_a_plain_shell(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert subprocess.run(["sh", "-n", script], check=False, timeout=60).returncode == 0


def ours_with(**variables: str) -> dict[str, ComposeService]:
    """Give the services that are told where the database is."""
    found = read_services(FILES[0], FILLED | variables)
    return {name: service for name, service in found.items() if "DATABASE_URL" in service.environment}


def ui_url(**variables: str) -> str:
    return ours_with(**variables)["memory_api"].environment["TEMPORAL_UI_URL"]


def seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text.removesuffix("s"))


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9_.-]+)(?:\[[^]]*\])?==(\S+)", path.read_text(), flags=re.MULTILINE))
