"""A recorded session as a server: `mitmdump -s` this file, by the command that `holdpoint.recording.replay` makes."""

import sys
from collections.abc import Sequence
from pathlib import Path

from mitmproxy import ctx, exceptions, http, io
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

# From a bare checkout, mitmproxy puts only this file's own folder on the path.
if not any(Path(p or ".", "holdpoint").is_dir() for p in sys.path):
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from holdpoint.recording.replay import OPTION, Replayer  # the path comes first


class Replay:
    """Answers every request itself, and lets no connection out."""

    def __init__(self) -> None:
        self._replayer = Replayer(())

    def load(self, loader: Loader) -> None:
        """Declare the option."""
        loader.add_option(OPTION, Sequence[str], [], "Flow files of the recorded session to answer from.")

    def configure(self, updated: set[str]) -> None:
        """Read the recording. An empty or broken one is no recording."""
        if OPTION not in updated:
            return
        files: Sequence[str] = ctx.options.holdpoint_replay
        try:
            flows = io.read_flows_from_paths(files)  # pyright: ignore[reportUnknownMemberType]  # untyped
        except exceptions.FlowReadException as error:
            raise exceptions.OptionsError(f"the recording cannot be read: {error}") from error
        self._replayer = Replayer(f for f in flows if isinstance(f, http.HTTPFlow))
        if not len(self._replayer):
            raise exceptions.OptionsError(f"name a flow file that holds answers: `--set {OPTION}=FILE`")

    def request(self, flow: http.HTTPFlow) -> None:
        """Answer."""
        flow.response = self._replayer.answer(flow.request)

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Refuse: whatever asks for an upstream here is a mistake."""
        data.server.error = "a replay connects to nobody"


addons = [Replay()]
