"""Look at recordings, never proxy: `mitmweb -n -s addons/viewer.py -r SESSION.flows`."""

from holdpoint.recording.viewer import Viewer

addons = [Viewer()]
