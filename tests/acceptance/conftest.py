from tests.support.imports import import_folder
from tests.support.main_job import environment, memory, model, resources, worker

__all__ = ["environment", "import_folder", "memory", "model", "resources", "worker"]
