"""What nodes say to each other to find free resources.

A message that belongs to a user's request carries the request's token. Offers are named by their
supplier (a node) and a number of the supplier's; which trader is meant is the receiver.
"""

import msgspec

from shoal.core.discovery.contract import Candidate, Demand


class _Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    pass


class GetOffers(_Message, frozen=True, tag="oq"):
    """Buyer to trader: what do you have for this? A trader that has nothing asks those nearby
    that have, with `relay` False."""

    token: int
    demand: Demand
    relay: bool


class Offers(_Message, frozen=True, tag="oa"):
    """The answer; `relay` is that of the question."""

    token: int
    offers: tuple[Candidate, ...]
    relay: bool


class CreateOffer(_Message, frozen=True, tag="oc"):
    """Supplier to trader: I offer this much. Not answered if it is taken."""

    offer: int
    free: Demand
    used: Demand
    containers: int


class RefuseOffer(_Message, frozen=True, tag="ox"):
    """Trader to supplier: the offer does not belong in my partition, it is not kept."""

    offer: int


class UpdateOffer(_Message, frozen=True, tag="ou"):
    """Supplier to trader: the amounts of an offer are these now."""

    offer: int
    free: Demand
    used: Demand
    containers: int


class RemoveOffer(_Message, frozen=True, tag="or"):
    """Supplier to trader: forget the offer."""

    offer: int


class RefreshOffer(_Message, frozen=True, tag="of"):
    """Trader to supplier: does the offer still stand?"""

    offer: int


class Refreshed(_Message, frozen=True, tag="oF"):
    """The answer: whether it stands."""

    offer: int
    stands: bool


class OffersNearby(_Message, frozen=True, tag="on"):
    """Trader to its neighbour on the ring: `trader`, on this side of you, has offers."""

    trader: int


MarketMessage = (
    GetOffers
    | Offers
    | CreateOffer
    | RefuseOffer
    | UpdateOffer
    | RemoveOffer
    | RefreshOffer
    | Refreshed
    | OffersNearby
)


class GetFree(_Message, frozen=True, tag="fq"):
    """Random: how much do you have free?"""

    token: int


class Free(_Message, frozen=True, tag="fa"):
    """The answer."""

    token: int
    free: Demand
    used: Demand
    containers: int


class Report(_Message, frozen=True, tag="cr"):
    """Central: a worker's resources, said to the master at the start, after a change and as the
    regular sign of life."""

    free: Demand
    used: Demand
    containers: int


class Ask(_Message, frozen=True, tag="cq"):
    """Central: a worker passes a request's search on to the master."""

    token: int
    demand: Demand


class Choice(_Message, frozen=True, tag="ca"):
    """Central: the master's answer, best first."""

    token: int
    candidates: tuple[Candidate, ...]


class Carried(_Message, frozen=True, tag="oh"):
    """A message of the offer market, unless it is an answer, with the sender's hits of the
    partitions, one byte each. `token` is that of the message inside, 0 if it has none."""

    token: int
    hits: bytes
    inside: MarketMessage


DiscoveryMessage = MarketMessage | Carried | GetFree | Free | Report | Ask | Choice
