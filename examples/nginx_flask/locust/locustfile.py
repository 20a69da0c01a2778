"""Users who ask for one heavy task after the other."""

from locust import FastHttpUser, constant, task
from locust.env import Environment


class Visitor(FastHttpUser):
    wait_time = constant(0)

    def __init__(self, environment: Environment) -> None:
        # `--host http://localhost:8000/`: a path is put behind it, and no path begins with two slashes
        self.host = self.host.rstrip("/") if self.host else None
        super().__init__(environment)

    @task
    def heavy(self) -> None:
        self.client.get("/flask/heavy")
