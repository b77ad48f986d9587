import pytest
from temporalio.common import VersioningBehavior

from services.domain.errors import InvalidInputError
from services.settings import DeploymentSettings, load
from services.worker.versions import deployment_of


def test_workers_are_of_no_version_unless_somebody_says_so() -> None:
    assert deployment_of(DeploymentSettings()) is None


def test_every_run_moves_on_with_the_current_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_DEPLOYMENT_NAME", "afterturn")
    monkeypatch.setenv("TEMPORAL_WORKER_BUILD_ID", "1.5.0-rc.1_x")
    deployment = deployment_of(load(DeploymentSettings))
    assert deployment is not None
    assert deployment.use_worker_versioning
    assert deployment.version.to_canonical_string() == "afterturn.1.5.0-rc.1_x"
    assert deployment.default_versioning_behavior == VersioningBehavior.AUTO_UPGRADE


@pytest.mark.parametrize(
    ("name", "build_id", "wrong"),
    [
        ("afterturn", "", "TEMPORAL_WORKER_BUILD_ID"),
        ("", "1.5.0", "TEMPORAL_WORKER_BUILD_ID"),
        ("after.turn", "1.5.0", "TEMPORAL_DEPLOYMENT_NAME"),  # the server takes neither dots nor colons
        ("afterturn", "registry.example.org:5000/worker", "TEMPORAL_WORKER_BUILD_ID"),
    ],
)
def test_half_a_version_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, build_id: str, wrong: str) -> None:
    monkeypatch.setenv("TEMPORAL_DEPLOYMENT_NAME", name)
    monkeypatch.setenv("TEMPORAL_WORKER_BUILD_ID", build_id)
    with pytest.raises(InvalidInputError) as refused:
        load(DeploymentSettings)
    assert refused.value.field == wrong
