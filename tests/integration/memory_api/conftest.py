from tests.support.main_job import environment, model, resources, worker
from tests.support.memory_api import api_url, call_as, service, start_api

__all__ = ["api_url", "call_as", "environment", "model", "resources", "service", "start_api", "worker"]
