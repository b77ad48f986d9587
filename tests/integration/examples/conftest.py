from tests.support.main_job import environment, memory, model, resources, worker
from tests.support.memory_api import api_url, start_api

__all__ = ["api_url", "environment", "memory", "model", "resources", "start_api", "worker"]
