from tests.support.main_job import environment, model, resources, worker

__all__ = ["environment", "model", "resources", "worker"]
