"""
The right half: claim ▸ render ▸ sign ▸ send ▸ decide ▸ settle, for each endpoint by itself.

    dispatcher.py  all endpoints, as routes.yaml names them     claiming.py    which batch is next, and how each ends
    endpoint.py    one endpoint: starts, attempts               batch.py       what one POST carries, and how it splits
    circuit.py     health, hold and places of an endpoint       conclusion.py  what follows from an attempt (pure)
    pace.py        rate limit (pure)                            watch.py       metrics and log events
"""

from forwarder.dispatcher.dispatcher import Dispatcher
from forwarder.dispatcher.watch import Watch

__all__ = ["Dispatcher", "Watch"]
