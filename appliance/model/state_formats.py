"""The format of what lies under the root, as a number: who may read it, and what an older one needs first.

Written since format 1 into `state/format`. The number rises when a version of the appliance keeps something in a way
that the version before would misread; adding a file that older versions pass over is no new format.
"""

import re

from appliance.model.errors import InvalidInput, Refused

CURRENT = 1
_NUMBER = re.compile(r"[1-9][0-9]{0,5}")


def parse(text: str | None) -> int:
    """The number that a format file holds; without a file the format is 1. Raises InvalidInput."""
    if text is None:
        return 1
    if not _NUMBER.fullmatch(text.strip()):
        raise InvalidInput(
            "it holds no format number: put the file of a backup in its place, or remove it for format 1"
        )
    return int(text)


def steps(found: int) -> range:
    """The formats that `found` has to be brought to one after another; none when it is the current one.

    Raises Refused when it is newer than this version of the appliance.
    """
    if found > CURRENT:
        raise Refused(
            f"its state has format {found}, and this version of the appliance reads up to {CURRENT}: "
            "install the version that wrote it or a newer one, or use another root"
        )
    return range(found + 1, CURRENT + 1)
