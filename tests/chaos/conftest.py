from tests.support.main_job import environment, memory, model, resources, worker

__all__ = ["environment", "memory", "model", "resources", "worker"]
