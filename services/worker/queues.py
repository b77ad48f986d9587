"""What workers serve: the steps of each task queue, and the workflows."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from opentelemetry.trace import Tracer
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, UnsandboxedWorkflowRunner, Worker

from activities.failures import ScrubFailures
from activities.waking_webhooks import WakeWebhooks
from services.settings import DeploymentSettings, WorkerSettings, load
from services.worker.activities import Activities
from services.worker.tracing import TraceSteps
from services.worker.versions import deployment_of
from workflows.analyze_memory import AnalyzeMemory
from workflows.clean_up_memory import CleanUpMemory
from workflows.deliver_webhooks import DeliverWebhooks
from workflows.forget_owner import ForgetOwner
from workflows.import_history import ImportHistory
from workflows.load_memories import (
    LoadAllCompaniesMemories,
    LoadAllUsersMemories,
    LoadCompanyMemories,
    LoadUserMemories,
)
from workflows.names import LLM_QUEUE, MEM0_QUEUE, MEMORY_QUEUE
from workflows.optimize_memory import OptimizeMemory
from workflows.process_rooms import ProcessRooms
from workflows.reconcile_mem0 import ReconcileMem0
from workflows.reconcile_memory import ReconcileMemory
from workflows.reembed import Reembed
from workflows.room_digest import RoomDigest
from workflows.room_memory import RoomMemory
from workflows.sync_memory import SyncMemory

WORKFLOWS = (
    RoomMemory,
    RoomDigest,
    ProcessRooms,
    ReconcileMem0,
    ReconcileMemory,
    DeliverWebhooks,
    CleanUpMemory,
    OptimizeMemory,
    SyncMemory,
    AnalyzeMemory,
    ImportHistory,
    ForgetOwner,
    Reembed,
    LoadCompanyMemories,
    LoadUserMemories,
    LoadAllCompaniesMemories,
    LoadAllUsersMemories,
)
# What these change, webhooks are told of at once; of the rest with the next sweep.
TOLD_OF = ("digest_next", "save_memories", "load_owner", "load_owners")


def build_workers(
    client: Client,
    activities: Activities,
    settings: WorkerSettings,
    tracer: Tracer,
    workflows: Sequence[type] = WORKFLOWS,
) -> list[Worker]:
    """Build one worker for each task queue that this process serves."""
    queues: dict[str, list[Callable[..., Any]]] = {
        MEMORY_QUEUE: [
            activities.buffers.claim,
            activities.buffers.archive,
            activities.buffers.release,
            activities.buffers.last_seq,
            activities.sweep.sweep,
            activities.imports.check_source,
            activities.imports.import_pages,
            activities.imports.remove_copy,
            activities.webhooks.deliver,
            activities.forgetting.stop_work,
            activities.forgetting.erase_buffers,
            activities.forgetting.erase_rows,
            activities.forgetting.finish,
            *activities.maintenance.memory_steps,
        ],
        LLM_QUEUE: [
            activities.digest.digest_next,
            activities.reembedding.begin_reembed,
            activities.reembedding.fill_vectors,
            activities.reembedding.check_recall,
            activities.reembedding.switch_model,
        ],
        MEM0_QUEUE: [
            activities.forgetting.erase_memories,
            activities.memories.save_memories,
            activities.reconcile.reconcile,
            activities.reconcile.reconcile_one,
            activities.maintenance.optimise.merge_memories,
            activities.loading.count_owners,
            activities.loading.load_owner,
            activities.loading.load_owners,
        ],
    }
    deployment = deployment_of(load(DeploymentSettings))
    return [
        Worker(
            client,
            task_queue=queue,
            workflows=workflows if queue == MEMORY_QUEUE else (),
            activities=steps,
            # What the sandbox forbids is found before a release: replays run in it, and the import rules.
            workflow_runner=UnsandboxedWorkflowRunner(),
            interceptors=[ScrubFailures(), TraceSteps(tracer), WakeWebhooks(activities.waker, TOLD_OF)],
            max_cached_workflows=settings.max_cached_workflows if queue == MEMORY_QUEUE else 0,
            max_concurrent_activities=settings.max_concurrent_model_calls
            if queue == LLM_QUEUE
            else settings.max_concurrent_activities,
            workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
            activity_task_poller_behavior=PollerBehaviorAutoscaling(),
            graceful_shutdown_timeout=timedelta(seconds=settings.shutdown_seconds),
            deployment_config=deployment,
        )
        for queue, steps in queues.items()
        if queue in settings.task_queues.split(",")
    ]
