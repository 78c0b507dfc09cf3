"""From manifests and leases to `Desired`. The only place that rejects a manifest, and total: bad input never raises.

Rule: importing this package is cheap; pydantic and ruamel.yaml are imported when a file must really be read anew.
"""

from reconciler.load.loader import Loader, check

__all__ = ["Loader", "check"]
