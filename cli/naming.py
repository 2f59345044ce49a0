"""Names for the addresses in a sentence, as this machine knows them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from concento.errors import ConcentoError

_ADDRESS: Final = re.compile(r"\bt?conc1[02-9ac-hj-np-z]{40,}\b")


def with_names(sentence: str, home: Path) -> str:
    """The sentence with every address that the wallet has a name for replaced by it; no node is asked."""
    found = _ADDRESS.findall(sentence)
    if not found:
        return sentence
    from concento.accounts import PREFIX_DEV

    try:
        names = names_of(home, dev=found[0].startswith(PREFIX_DEV))
    except ConcentoError:
        return sentence
    return _ADDRESS.sub(lambda match: names.get(match.group(), match.group()), sentence)


def names_of(home: Path, dev: bool) -> dict[str, str]:
    """Address -> name: of keys, development accounts, contacts, and of the nodes of a development network."""
    from concento.accounts import address
    from concento.client.wallet import Wallet
    from concento.development import VALIDATORS_DEV_MAX, development_account, validator_names

    nodes = validator_names(VALIDATORS_DEV_MAX) if dev else ()
    names = {address(development_account(name), dev): name for name in nodes}
    return names | {address(entry.account, dev): entry.name for entry in reversed(Wallet(home).entries(dev))}
