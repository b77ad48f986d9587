"""`up`: the embedded stack in the foreground."""

from services.cli.exit_codes import FAILED, OK
from services.cli.output import Output
from services.cli.stack_board import StackBoard
from services.embedded.errors import StackAlreadyRunningError
from services.embedded.stack import EmbeddedStack
from services.settings import EmbeddedSettings, load, read_dot_env


async def up(output: Output) -> int:
    read_dot_env()
    board = StackBoard(output)
    stack = EmbeddedStack(load(EmbeddedSettings), on_step=board.step)
    board.expect(stack.addresses)
    try:
        with board.shown():
            async with stack:
                addresses = stack.addresses.model_dump(exclude_none=True)
                output.emit(addresses)
                show_addresses(output, addresses)
                output.note("everything runs; Ctrl-C stops it")
                await stack.wait_for_stop_signal()
                output.note("stopping")
    except StackAlreadyRunningError as error:
        output.emit(error.addresses)
        output.error(str(error))
        return FAILED
    return OK


def show_addresses(output: Output, addresses: dict[str, str]) -> None:
    output.title("Addresses")
    rows = [(name.removesuffix("_url").replace("_", " "), url) for name, url in addresses.items()]
    if api := addresses.get("api_url"):
        rows.append(("api docs", f"{api}/docs"))
    output.table(("", ""), rows)
