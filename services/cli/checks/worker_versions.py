"""Whether the workers that poll are of the version that Temporal gives work to."""

from collections.abc import Sequence

from temporalio.api.enums.v1 import WorkerVersioningMode
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentRequest
from temporalio.client import Client
from temporalio.service import RPCError

from services.cli.checks.check import Check, judged

_NAME = "Temporal: version of the workers"


async def check_worker_versions(client: Client, pollers: Sequence[PollerInfo]) -> Check:
    """Look at the deployment of workers with versions; those without are given whatever comes."""
    versioned = [
        poller.deployment_options
        for poller in pollers
        if poller.deployment_options.worker_versioning_mode == WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED
    ]
    if not versioned:
        return Check(_NAME, "ok", "none is said")
    deployment = versioned[0].deployment_name
    builds = sorted({one.build_id for one in versioned})
    try:
        current = await _current_build(client, deployment)
    except RPCError as error:
        return Check(_NAME, "not checkable", error.status.name)
    return judged(
        _NAME,
        good=current in builds,
        detail=f"{', '.join(builds)} poll; the current one is {current or 'none, so nobody is given work'}",
        cure=f"run `temporal worker deployment set-current-version --deployment-name {deployment} "
        f"--build-id {builds[-1]}`, or start workers of the current version",
    )


async def _current_build(client: Client, deployment: str) -> str:
    request = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=deployment)
    found = await client.workflow_service.describe_worker_deployment(request)
    return found.worker_deployment_info.routing_config.current_deployment_version.build_id
