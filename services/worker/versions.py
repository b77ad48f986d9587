from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import WorkerDeploymentConfig

from services.settings import DeploymentSettings


def deployment_of(settings: DeploymentSettings) -> WorkerDeploymentConfig | None:
    """Say which version of the workers this is; None leaves them unversioned.

    Every run moves on with the current version: one that was pinned would stand still without its old workers, and
    keep its room's messages, or its schedule, with it.
    """
    if not settings.temporal_deployment_name:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(settings.temporal_deployment_name, settings.temporal_worker_build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )
