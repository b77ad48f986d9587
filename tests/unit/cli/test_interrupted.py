import asyncio

import pytest

from services.cli.output import Output
from services.cli.running import noted_when_interrupted


async def test_who_leaves_before_temporal_has_answered_is_told_that_it_may_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def start() -> None:
        with noted_when_interrupted(Output(as_json=False), "a load that was started goes on"):
            asked.set()
            await answer.wait()

    starting = asyncio.create_task(start())
    await asked.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert "a load that was started goes on" in capsys.readouterr().err


async def test_nothing_is_said_of_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="refused"), noted_when_interrupted(Output(as_json=False), "goes on"):
        raise ValueError("refused")
    assert capsys.readouterr().err == ""
