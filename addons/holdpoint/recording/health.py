"""What the operator should do when recording fails."""

import errno

from holdpoint.domain.refusal import GatewayFault
from holdpoint.recording.durable import FileFault

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space, recording goes on by itself",
    errno.EDQUOT: "the quota is used up: raise it or free some space, recording goes on by itself",
    errno.EFBIG: "the file may not grow: lift the limit on file sizes, recording goes on by itself",
    errno.EACCES: "the folder of recordings cannot be written: give it back to the gateway's user",
    errno.EPERM: "the folder of recordings cannot be written: give it back to the gateway's user",
    errno.EROFS: "the file system is read-only: look at the disk, mount it again for writing",
    errno.ENOENT: "the folder of recordings is gone: bring it back as it was, then restart the gateway",
    errno.ENOTDIR: "the folder of recordings is gone: bring it back as it was, then restart the gateway",
    errno.EMFILE: "too many files are open: raise the limit (`ulimit -n`)",
    errno.EIO: "the disk reports errors: replace it, then verify the log with `holdpoint audit verify`",
}


class RecorderUnavailable(GatewayFault):
    """Nothing can be recorded now, so nothing may pass."""


def advice(error: OSError | FileFault) -> tuple[str, str]:
    """Return what is wrong and what to do about it."""
    if isinstance(error, FileFault):
        return str(error), "stop the gateway, bring the folder back as it was, verify it with `holdpoint audit verify`"
    name = errno.errorcode.get(error.errno or 0, "error")
    problem = f"{error.strerror or error} ({name})"
    return problem, _ADVICE.get(error.errno or 0, "look at the disk that holds the recordings")
