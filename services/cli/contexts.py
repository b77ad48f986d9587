"""`context`: what to put in front of a model."""

from dataclasses import asdict

from afterturn_client.rooms import check_room_id

from services.cli.exit_codes import OK
from services.cli.output import Output
from services.cli.reaching import opened
from services.domain.memories import owner_of


async def context(
    output: Output, room_id: str, *, query: str | None, budget: int, user_id: str | None, company_id: str | None
) -> int:
    check_room_id(room_id)
    owners = [
        *([owner_of("user", user_id)] if user_id is not None else []),
        *([owner_of("company", company_id)] if company_id is not None else []),
    ]
    async with opened("postgres") as resources:
        built = await resources.context.build(room_id, query=query, token_budget=budget, owners=owners)
    output.emit(asdict(built))
    output.print(built.markdown)
    if not built.markdown:
        output.note(f"{room_id} has no message, and nothing is remembered about its owner")
    if not built.includes_buffered:
        output.note("Redis does not answer: what is buffered is not included")
    output.note(f"{built.tokens} of {budget} tokens at the most")
    return OK
