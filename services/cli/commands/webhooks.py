"""`webhooks`: who is told of what happens."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from services.cli.exit_codes import EPILOG
from services.cli.options import JsonFlag, UserOption
from services.cli.running import run

webhooks = typer.Typer(help="Make, list, remove and replay webhooks.", no_args_is_help=True)
WebhookId = Annotated[UUID, typer.Argument(metavar="ID", help="The webhook's id, as `webhooks list` shows it.")]


def register(app: typer.Typer) -> None:
    app.add_typer(webhooks, name="webhooks")


@webhooks.command("add", epilog=EPILOG)
def add_(
    url: Annotated[str, typer.Argument(help="Where events are sent.")],
    event: Annotated[
        list[str] | None,
        typer.Option("--event", help="message.digested or memory.changed; may be repeated. All, if left out."),
    ] = None,
    user: UserOption = None,
    company: Annotated[str | None, typer.Option("--company", metavar="ID")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Send what happens from now on to an address, signed; for one person or company only, if named.

    Example: afterturn webhooks add https://example.org/afterturn --event memory.changed
    """
    from services.cli import webhooks as work

    run(lambda output: work.add(output, url, event or (), user=user, company=company), as_json=as_json)


@webhooks.command("list", epilog=EPILOG)
def list_(as_json: JsonFlag = False) -> None:
    """List the webhooks, with what waits for each and how it fails.

    Example: afterturn webhooks list
    """
    from services.cli import webhooks as work

    run(work.list_all, as_json=as_json)


@webhooks.command("remove", epilog=EPILOG)
def remove_(webhook_id: WebhookId, as_json: JsonFlag = False) -> None:
    """Remove a webhook, with all that it was to be told.

    Example: afterturn webhooks remove 6f1f1f0a-8a43-4c3e-9d55-0c2f6f9a1b2c
    """
    from services.cli import webhooks as work

    run(lambda output: work.remove(output, webhook_id), as_json=as_json)


@webhooks.command("replay", epilog=EPILOG)
def replay_(
    webhook_id: WebhookId,
    since: Annotated[datetime, typer.Option("--since", help="What happened from then on (UTC) is told again.")],
    as_json: JsonFlag = False,
) -> None:
    """Tell events again, in order and under their old ids; revive a webhook that had ended.

    Example: afterturn webhooks replay 6f1f1f0a-8a43-4c3e-9d55-0c2f6f9a1b2c --since 2026-03-02T12:00:00
    """
    from services.cli import webhooks as work

    run(lambda output: work.replay(output, webhook_id, since), as_json=as_json)
