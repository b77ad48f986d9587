"""`doctor`: looks at everything, and ends with the worst of it."""

import asyncio
from dataclasses import asdict

from rich.text import Text

from services.cli.checks.check import Check, State
from services.cli.checks.postgres import check_postgres
from services.cli.checks.proxy import check_proxy
from services.cli.checks.redis import check_redis
from services.cli.checks.temporal import check_temporal
from services.cli.exit_codes import FAILED, OK
from services.cli.output import Output, clean
from services.domain.errors import TransientError
from services.resources import Resources, open_resources

_STYLES: dict[State, str] = {"ok": "green", "failed": "bold red", "not checkable": "yellow"}


async def doctor(output: Output) -> int:
    async with open_resources() as resources:
        found = await asyncio.gather(
            check_redis(resources),
            check_postgres(resources.database),
            check_temporal(resources.temporal),
            _proxy(resources),
        )
    checks = [check for server in found for check in server]
    failed = [check for check in checks if check.state == "failed"]
    output.emit({"healthy": not failed, "checks": [asdict(check) for check in checks]})
    if not output.as_json:
        for check in checks:
            output.out.print(_line(check), soft_wrap=True)
        output.print(f"{len(checks) - len(failed)} of {len(checks)} checks found nothing wrong")
    return FAILED if failed else OK


async def _proxy(resources: Resources) -> list[Check]:
    """Ask for the embedding model that the database reads, where it can be asked."""
    try:
        read = await resources.vectors.current()
    except TransientError:
        read = resources.models.embedding_model
    return await check_proxy(resources.models, resources.model, read)


def _line(check: Check) -> Text:
    line = Text(f"{check.state:<14}", style=_STYLES[check.state])
    line.append(f"{check.name}", style="default")
    if check.detail:
        line.append(f": {clean(check.detail)}", style="default")
    if check.cure:
        line.append(f"\n{'':<14}→ {clean(check.cure)}", style="bold")
    return line
