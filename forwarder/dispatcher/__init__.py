"""
The right half: claim ▸ render ▸ sign ▸ send ▸ decide ▸ settle, for each endpoint by itself.

    dispatcher.py  all endpoints, as routes.yaml names them     circuit.py  closed, held back, open (pure)
    endpoint.py    one endpoint: who may be sent what, when     pace.py     rate limit (pure)
    parcels.py     from a claim to its end                      parcel.py   batches and how they split (pure)
    watch.py       metrics and log events
"""

from forwarder.dispatcher.dispatcher import Dispatcher
from forwarder.dispatcher.watch import Watch

__all__ = ["Dispatcher", "Watch"]
