from pathlib import Path

from services.domain.errors import AfterturnError


class StackError(AfterturnError):
    """The embedded stack cannot do what was asked."""


class StackAlreadyRunningError(StackError):
    """Another process runs the stack on this data folder."""

    def __init__(self, folder: Path, pid: int | None, addresses: dict[str, str]) -> None:
        whose = f" (process {pid})" if pid else ""
        where = "".join(f"\n  {name}: {address}" for name, address in addresses.items())
        super().__init__(f"the stack already runs on {folder}{whose}{where}")
        self.pid = pid
        self.addresses = addresses


class PortTakenError(StackError):
    """A port that the stack needs is in use by somebody else."""

    def __init__(self, port: int, owner: str, variable: str | None = None) -> None:
        advice = f"; free it, or choose another with {variable}" if variable else ""
        super().__init__(f"port {port} for {owner} is taken{advice}")
        self.port = port
        self.owner = owner


class ServerFailedError(StackError):
    """A server did not start, or did not become ready in time."""

    def __init__(self, name: str, reason: str, log: Path) -> None:
        super().__init__(f"{name} {reason}; its log is {log}")
        self.name = name
        self.log = log


class ProgramMissingError(StackError):
    """A program that the stack is made of is not on this machine, and cannot be put there."""
