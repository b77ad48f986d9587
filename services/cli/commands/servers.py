"""Commands that start servers, look after them, and show what they do."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.exit_codes import EPILOG
from services.cli.options import JsonFlag
from services.cli.running import run

database = typer.Typer(no_args_is_help=True, help="The database's schema.")
schedules = typer.Typer(no_args_is_help=True, help="What Temporal starts by itself.")


def register(app: typer.Typer) -> None:
    for command in (up, demo, worker, proxy, doctor):
        app.command(epilog=EPILOG)(command)
    database.command("upgrade", epilog=EPILOG)(db_upgrade)
    app.add_typer(database, name="db")
    schedules.command("apply", epilog=EPILOG)(schedules_apply)
    schedules.command("list", epilog=EPILOG)(schedules_list)
    app.add_typer(schedules, name="schedules")


def up(as_json: JsonFlag = False) -> None:
    """Run everything on this machine until Ctrl-C: Postgres, Redis, Temporal, LLM proxy, worker, memory API.

    The addresses also stand in .afterturn/stack.json, where the other commands find them. Answers 1, with the
    addresses, when the stack runs already.

    Example: afterturn up
    """
    from services.cli import up as running_up

    run(running_up.up, as_json=as_json, use_stack=False)


def demo(
    file: Annotated[
        Path | None, typer.Argument(help="A conversation as JSON lines; the sample conversation if left out.")
    ] = None,
    room: Annotated[str | None, typer.Option("--room", metavar="ID", help="Replay into this room.")] = None,
    user: Annotated[str, typer.Option("--user", metavar="ID", help="Who speaks where a line does not say.")] = "demo",
    embedded: Annotated[
        bool,
        typer.Option(
            "--embedded/--my-servers",
            help="The stack of this folder, started if need be; or what the environment names.",
        ),
    ] = True,
    as_json: JsonFlag = False,
) -> None:
    """Replay a chat through Redis and Temporal, and show what became of it: summaries, searches, counts.

    Uses the running stack, or starts one and stops it at the end. A second replay stores nothing twice.

    Example: afterturn demo chat.jsonl
    """
    from services.cli import demo as demonstration

    run(
        lambda output: demonstration.demo(output, file, room_id=room, user_id=user, embedded=embedded),
        as_json=as_json,
        use_stack=False,
    )


def worker(as_json: JsonFlag = False) -> None:
    """Run a worker until Ctrl-C; it ends when the steps at work are done.

    TASK_QUEUES says which queues it serves (memory,llm,mem0).

    Example: TASK_QUEUES=llm afterturn worker
    """
    from services.cli import serving

    run(serving.work, as_json=as_json)


def proxy(as_json: JsonFlag = False) -> None:
    """Run the LLM proxy until Ctrl-C, on LLM_PROXY_HOST and LLM_PROXY_PORT.

    Example: OLLAMA_URL_INTERNAL=http://localhost:11434 afterturn proxy
    """
    from services.cli import serving

    run(serving.serve_proxy, as_json=as_json)


def doctor(as_json: JsonFlag = False) -> None:
    """Check every server and setting that the promises rest on; says how to cure what is wrong.

    Answers 1 when a check fails. What a server does not let anybody see is not checked, and said to be so.

    Example: afterturn doctor --json
    """
    from services.cli import diagnosis

    run(diagnosis.doctor, as_json=as_json)


def db_upgrade(as_json: JsonFlag = False) -> None:
    """Bring the database to the newest schema; does nothing where it is.

    Example: DATABASE_URL=postgresql://me@localhost/afterturn afterturn db upgrade
    """
    from services.cli import serving

    run(serving.upgrade, as_json=as_json)


def schedules_apply(as_json: JsonFlag = False) -> None:
    """Create the schedules or bring them up to date; a pause, and an interval of your own, stay.

    Example: afterturn schedules apply
    """
    from services.cli import schedules

    run(schedules.apply, as_json=as_json)


def schedules_list(as_json: JsonFlag = False) -> None:
    """List the schedules, with their last run and what it did; answers 1 when one is missing.

    Example: afterturn schedules list
    """
    from services.cli import schedules

    run(schedules.list_all, as_json=as_json)
