"""Names for containers whose user gave none."""

import secrets

_LEFT = (
    "able amber basic bold brave brisk calm clear coral dapper deep eager early fair fleet fond "
    "gentle glad golden grand happy hardy ivory jolly keen kind late light lively lucid lunar "
    "mellow merry mild modest neat noble olive patient plain polite proud quick quiet rapid "
    "ready robust rosy royal sandy serene silver smart solid steady sunny swift tidy tranquil "
    "upbeat vivid warm wise witty young zesty"
)
_RIGHT = (
    "anchovy barb bass bream brill capelin carp char chub cisco cod dab dace dory eel elver "
    "flounder gar goby grayling grouper gurnard haddock hake halibut herring ide koi lamprey "
    "ling loach mackerel marlin minnow mullet opah perch pike pilchard plaice pollock pout ray "
    "roach rudd salmon sardine shad skate smelt snapper sole sprat tench tetra trout tuna "
    "turbot wels whiting wrasse zander"
)
_ADJECTIVES, _FISH = tuple(_LEFT.split()), tuple(_RIGHT.split())


def invent_name(attempt: int) -> str:
    """An adjective and a fish; digits behind them after names that were taken."""
    name = f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_FISH)}"
    return name + (str(secrets.randbelow(10 ** (attempt + 1))) if attempt else "")
