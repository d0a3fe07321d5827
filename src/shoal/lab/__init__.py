"""A real multi-host cloud on one machine: N hosts in namespaces, with faults to put them through.

`Lab("demo").up(hosts=3)` makes it, `down()` leaves nothing behind; as a context manager the
latter is sure. The command line is `shoal lab`.
"""

from shoal.lab.errors import LabError
from shoal.lab.host import Host
from shoal.lab.lab import Lab
from shoal.lab.links import Quality
from shoal.lab.spec import HostSpec, LabSpec

__all__ = ["Host", "HostSpec", "Lab", "LabError", "LabSpec", "Quality"]
