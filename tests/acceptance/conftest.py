from tests.support.imports import import_folder
from tests.support.main_job import environment, mem0, memory, model, resources, worker

__all__ = ["environment", "import_folder", "mem0", "memory", "model", "resources", "worker"]
