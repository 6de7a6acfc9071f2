"""The files under the root.

workloads  `workloads/` and `state/accepted/`: workloads as files
proxy      `proxy/` and `traefik.yaml`: what Traefik reads
"""

from appliance.adapters.files.proxy import ProxyFiles, StaticConfigurationFile, sweep
from appliance.adapters.files.workloads import AcceptedFiles, WorkloadFiles

__all__ = ["AcceptedFiles", "ProxyFiles", "StaticConfigurationFile", "WorkloadFiles", "sweep"]
