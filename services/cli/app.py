"""The commands, their options and their help. Each imports its work only when it runs."""

from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from services.cli.commands import api as api_commands
from services.cli.commands import backfill as backfill_commands
from services.cli.commands import bench as bench_commands
from services.cli.commands import data as data_commands
from services.cli.commands import forget as forget_commands
from services.cli.commands import importing as import_command
from services.cli.commands import maintenance as maintenance_commands
from services.cli.commands import mcp as mcp_command
from services.cli.commands import memories as memory_commands
from services.cli.commands import reembed as reembed_command
from services.cli.commands import replaying as replay_command
from services.cli.commands import restored as restored_command
from services.cli.commands import servers as server_commands
from services.cli.commands import webhooks as webhook_commands
from services.cli.exit_codes import INTERRUPTED, OK
from services.cli.output import Output

app = typer.Typer(
    name="afterturn",
    help="Durable memory for chat, written after every turn.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
server_commands.register(app)
api_commands.register(app)
data_commands.register(app)
import_command.register(app)
forget_commands.register(app)
backfill_commands.register(app)
memory_commands.register(app)
maintenance_commands.register(app)
mcp_command.register(app)
reembed_command.register(app)
replay_command.register(app)
restored_command.register(app)
webhook_commands.register(app)
bench_commands.register(app)


def run_app(args: Sequence[str]) -> int:
    """Run the command line; answer the exit code."""
    try:
        code = app(list(args), prog_name="afterturn", standalone_mode=False)
    except TyperException as error:
        # A command that was given nothing has shown its help already.
        if message := error.format_message():
            Output(as_json=False).error(f"{message}{_hint(error)}")
        return error.exit_code
    except typer.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else OK


def _hint(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f" (see `{context.command_path} --help`)" if context else ""
