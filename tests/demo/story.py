"""What the steps of the tour share: how they tell, how they check, and who calls what."""

import asyncio
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from mcp import Client
from tests.demo.call import leaves
from tests.demo.layout import Layout
from tests.demo.parts import Parts
from tests.demo.people import Person, Ran, holdpoint

WIDTH = 118


class StepFailed(Exception):  # noqa: N818  # says what happened
    """What the tour promised did not happen."""


@dataclass
class Story:
    """One tour. What a step learns, later ones use."""

    parts: Parts
    open: AsyncExitStack
    """Holds connections until the tour ends."""
    alice_token: str = ""
    agent_token: str = ""
    client: Client | None = None
    """Alice's connection with the SDK."""
    secrets: list[str] = field(default_factory=list)
    """What must not be in any file of the gateway's state."""
    shown: str = ""
    """What Alice read of the secret."""
    session: str = ""
    """Id of her recorded session."""
    flows: Path = Path()
    """Its flow file."""

    @property
    def layout(self) -> Layout:
        """The demo's folder."""
        return self.parts.layout

    def tell(self, text: str) -> None:
        """Print one fact that was just seen."""
        for line in text.split("\n"):
            for piece in textwrap.wrap(line, WIDTH - 6, subsequent_indent="  ", break_on_hyphens=False) or [""]:
                print(f"      {piece}", flush=True)

    def show(self, output: str) -> None:
        """Print what a command said, line by line as it stands."""
        for line in output.split("\n"):
            print(f"        {line}", flush=True)

    def check(self, held: bool, what: str) -> None:  # reads as `assert`
        """Go on only if it holds."""
        if not held:
            raise StepFailed(what)

    async def run(self, person: Person | None, *arguments: str, status: int = 0) -> Ran:
        """Run `holdpoint` as a person, and check how it ended."""
        ran = await asyncio.to_thread(holdpoint, self.layout, person, *arguments)
        if ran.status != status:
            said = (ran.err or ran.out).strip()
            raise StepFailed(f"`holdpoint {' '.join(arguments)}` ended with {ran.status}, not {status}: {said}")
        return ran


type Step = Callable[[Story], Awaitable[None]]


async def play(story: Story, steps: Sequence[tuple[str, Step]]) -> bool:
    """Run the steps in order; stop at the first that fails."""
    began = time.monotonic()
    for number, (title, step) in enumerate(steps, 1):
        print(f"\n{number:3}  {title}", flush=True)
        try:
            async with asyncio.timeout(90):
                await step(story)
        except Exception as error:  # noqa: BLE001  # whatever went wrong, the step did not hold
            reasons = "; ".join(f"{e}" if isinstance(e, StepFailed) else f"{e!r}" for e in leaves(error))
            print(f"\n     FAILED: step {number} ({title}): {reasons}", file=sys.stderr, flush=True)
            return False
        print("     ok", flush=True)
    print(f"\nAll {len(steps)} steps held, in {time.monotonic() - began:.0f} s.", flush=True)
    return True
