"""The control side's door to iceoryx2: who lives under an instance's root directory, and sweeping after the dead.

Rule: everything under the root directory is the instance's by location. iceoryx2 tells nobody of a death, so looks ask.
It is imported only when its files leave a doubt that all is well, since importing it costs more than a whole pass.
"""

from __future__ import annotations

from reconciler.shm.domain import Shm

__all__ = ["Shm"]
