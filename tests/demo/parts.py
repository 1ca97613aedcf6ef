"""The parts of the demo: real servers on loopback, started in order, each waited for, stopped in reverse."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.demo.certificates import make_certificates
from tests.demo.layout import DEMO_TOKEN, HOLDPOINT, Layout
from tests.demo.people import CLIENTS, PEOPLE
from tests.fakes.issuer import FakeIssuer
from tests.fakes.notes_server import NotesServer
from tests.fakes.processes import GATEWAY, MITMDUMP, Program


class Parts:
    """Everything that runs. A context manager."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.gateway: Program
        self.console: Program
        self.notes: NotesServer
        self.notes_tls: NotesServer
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            layout, ports = self.layout, self.layout.ports
            layout.make()
            _, server_files = make_certificates(layout.folder)
            stack.enter_context(
                FakeIssuer(
                    users=[p.account() for p in PEOPLE],
                    clients=CLIENTS,
                    port=ports.issuer,
                    audience=layout.url,
                )
            )
            self.notes = stack.enter_context(NotesServer(token=DEMO_TOKEN, port=ports.notes))
            self.notes_tls = stack.enter_context(NotesServer(token=DEMO_TOKEN, port=ports.notes_tls, tls=server_files))
            # Both at once: each takes seconds to load.
            self.gateway = self._program(stack, str(MITMDUMP), "-s", str(GATEWAY))
            self.console = self._program(stack, *HOLDPOINT, "console")
            self.gateway.wait_for("holdpoint: serving")
            self.console.wait_for("holdpoint: the console is at")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def programs(self) -> dict[str, Program]:
        """What runs in a process of its own, by name."""
        return {"gateway": self.gateway, "console": self.console}

    def stop(self) -> None:
        """Stop everything, last started first."""
        self._stack.close()

    def _program(self, stack: ExitStack, *command: str) -> Program:
        program = Program(command, env=self.layout.environment())
        stack.callback(program.stop)
        return program
