"""Which cores a simulated node has, how they are set, and what they hold."""

from typing import TYPE_CHECKING

import msgspec

from shoal.core.discovery.central import Central
from shoal.core.discovery.contract import StrategyName
from shoal.core.discovery.launch import Launcher
from shoal.core.discovery.ledger import Ledger
from shoal.core.discovery.offers import OfferMarket
from shoal.core.discovery.settings import Settings
from shoal.core.discovery.strategies import strategy as make_discovery
from shoal.core.discovery.view import View
from shoal.core.ring.port import Draw
from shoal.sim.experiments.experiment import Experiment

if TYPE_CHECKING:
    from shoal.sim.experiments.node import Node

_encode = msgspec.msgpack.Encoder().encode

_KEY = 16
"""Bytes of an offer's key: supplier and number."""
_OWN_OFFER = 24
"""Bytes of an own offer: number, trader, what it was told."""
_ROUTE = 8


def settings_of(experiment: Experiment) -> Settings:
    """The strategy's settings. Where nothing is lost and no node dies, no question needs a timer
    and no supplier needs to look after its traders."""
    found = experiment.discovery
    safe = not experiment.maintains
    standard = Settings()
    estimate = (found.estimate or experiment.nodes) if found.super_traders else None
    return Settings(
        policy=found.policy,
        ask=found.ask,
        answer_timeout=None if safe else standard.answer_timeout,
        estimate=estimate,
        scale=found.scale,
        climb=None if found.climb < 0 else found.climb,
        tries=found.tries,
        limit=found.limit,
        refresh_interval=int(found.refresh),
        check_interval=None if safe else standard.check_interval,
        advertise=int(found.advertise) or None,
        partition_state=found.partition_state or None,
        heartbeat=int(found.heartbeat),
        answer_all="answer_all" in found.errors,
        forget_used="forget_used" in found.errors,
        keep_full="keep_full" in found.errors,
        recreate="recreate" in found.errors,
        lookup_master="lookup_master" in found.errors,
    )


def equip(node: "Node", strategy: StrategyName, settings: Settings, draw: Draw) -> None:
    """Give a node its strategy and its launcher."""
    total = node.total
    node.discovery = make_discovery(
        strategy, port=node, own=node.own, total=total, draw=draw, settings=settings
    )
    node.launcher = Launcher(
        port=node,
        ledger=Ledger(total),
        discovery=node.discovery,
        policy=settings.policy,
        timeout=settings.answer_timeout,
    )


def offers_of(node: "Node") -> int:
    """How many offers it keeps for others; of a master or a view, how many nodes."""
    return node.discovery.held


def state_of(node: "Node") -> int:
    """Bytes of what a node has to remember of others, written down plainly: its routes, the
    offers it keeps with their keys, and where its own offers are. Routes count also where they
    have not been worked out yet, but not in a cloud that looks nothing up."""
    chord, discovery = node.chord, node.discovery
    size = 0
    looks_up = not isinstance(discovery, Central | View) or node.world.maker.discovery.lookup_master
    if chord is None and looks_up:
        chord = node.world.settle(node)
    if chord is not None:
        size += _ROUTE * (len(chord.routes.table) + len(chord.successors) + 1)
    if isinstance(discovery, OfferMarket):
        size += _OWN_OFFER * len(discovery.supplier.offers)
        if discovery.held:
            size += sum(_KEY + len(_encode(offer)) for offer in discovery.trader.offers.values())
    elif isinstance(discovery, Central | View):
        size += discovery.held * _OWN_OFFER
    return size
