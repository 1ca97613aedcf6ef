"""The demo: `python -m tests.demo.main`, or with `--tour` the whole story unattended. `scripts/demo` runs it."""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.demo.announce import announcement, said_by, write_terminals
from tests.demo.layout import ROOT, DemoError, Layout, Ports
from tests.demo.parts import Parts
from tests.demo.tour import tour


def main() -> int:
    """Run until interrupted, or tell the story and end. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="Holdpoint on loopback, with everything around it."
    )
    parser.add_argument("--tour", action="store_true", help="run the whole story unattended; exit 0 if all of it held")
    parser.add_argument("--ports", type=int, metavar="BASE", help="listen at BASE … BASE+13 instead of 8180 … 8193")
    parser.add_argument("--folder", type=Path, help="where files go (default: var/demo; a temporary folder for --tour)")
    parser.add_argument("--keep", action="store_true", help="start from the folder as it is: with changed settings")
    options = parser.parse_args()
    if options.tour and options.keep:
        parser.error("the tour starts from a folder of its own: leave out --keep")
    ports = Ports() if options.ports is None else Ports.from_base(options.ports)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        ports.check()
        if options.tour and options.folder is None:
            with tempfile.TemporaryDirectory(prefix="holdpoint-tour-") as folder:
                return run_tour(Layout(Path(folder).resolve(), ports))
        layout = Layout((options.folder or ROOT / "var" / "demo").resolve(), ports, keep=options.keep)
        return run_tour(layout) if options.tour else run_demo(layout)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def run_tour(layout: Layout) -> int:
    """Tell the story."""
    print("starting an identity provider, two MCP servers, the gateway and the console", flush=True)
    with Parts(layout) as parts:
        held = tour(parts)
        if not held:
            print(f"\nthe gateway said last:\n{said_by(parts.gateway.lines)}", file=sys.stderr)
        return 0 if held else 1


def run_demo(layout: Layout) -> int:
    """Run until Ctrl-C."""
    print("starting an identity provider, two MCP servers, the gateway and the console", flush=True)
    with Parts(layout) as parts:
        write_terminals(layout)
        print(announcement(layout), flush=True)
        while all(p.process.poll() is None for p in parts.programs.values()):
            time.sleep(0.5)
        for name, program in parts.programs.items():
            if program.process.poll() is not None:
                print(f"the {name} ended; it said last:\n{said_by(program.lines)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
