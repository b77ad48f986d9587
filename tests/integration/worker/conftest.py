from tests.support.main_job import environment, mem0, model, resources, worker

__all__ = ["environment", "mem0", "model", "resources", "worker"]
