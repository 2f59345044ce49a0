"""What clients do in a run: payments and trade, some of it wrong on purpose, handed to one node or to several."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final

import msgspec

from concento.development import development_account, development_seed
from concento.encoding import decode, encode
from concento.messages.tokens import Transfer
from concento.transactions import Signed, Transaction
from sim.churn import Churn
from sim.market import Market
from sim.network import Network

PAYERS: Final = ("alice", "bea", "bob", "carol", "dana", "treasury")
BAD: Final = (
    "expired", "early", "other chain", "bad signature", "too much", "fee too low", "no bytes", "other signer", "again",
    "half",
)  # fmt: skip


@dataclass
class Load:
    """The clients of one run. `market` is None where they only pay."""

    network: Network
    dice: Random
    bad_share: float
    market: Market | None
    market_share: float
    churn: Churn | None = None
    churn_share: float = 0.0
    sent: list[Transaction] = field(default_factory=list)
    is_twice: bool = False

    def next(self) -> list[Transaction | bytes]:
        """The next things that clients hand in."""
        if self.churn is not None and self.dice.random() < self.churn_share:
            found: list[Transaction | bytes] = [*self.churn.transactions()]
        elif self.market is not None and self.dice.random() < self.market_share:
            found = [*self.market.transactions()]
        else:
            found = [_payment(self)]
            if self.is_twice:
                self.is_twice = False
                found.append(_half(self))
        self.sent += [entry for entry in found if isinstance(entry, Transaction)]
        return found

    def receivers(self) -> list[str]:
        """Who gets it: one node, or several; clients try the next one where the first is down."""
        names = [node.name for node in self.network.up if node.is_validator]
        return self.dice.sample(names, min(len(names), self.dice.choice((1, 1, 1, 2, len(names)))))


def _payment(load: Load) -> Transaction | bytes:
    network, dice, bad_share = load.network, load.dice, load.bad_share
    payer, payee = dice.choice(PAYERS), dice.choice(PAYERS)
    amount = dice.choice((1, 7, 1_000, 5_000_000))
    if dice.random() >= bad_share:
        return network.transfer(payer, payee, amount, valid_ms=dice.choice((2_000, 60_000)))
    match dice.choice(BAD):
        case "expired":
            return network.transfer(payer, payee, amount, valid_ms=-10_000)
        case "early":
            return network.transfer(payer, payee, amount, valid_ms=10_000_000)
        case "other chain":
            return network.transfer(payer, payee, amount, chain_id="another")
        case "too much":
            # Two thirds of what dana has, more than once: each is affordable, together they are not.
            return network.transfer("dana", payee, 700_000_000)
        case "fee too low":
            return network.transfer(payer, payee, amount, max_fee_ubeat=1)
        case "again" if load.sent:
            return dice.choice(load.sent[-8:])
        case "half":
            load.is_twice = True
            return _half(load)
        case "no bytes":
            return bytes(dice.randrange(40))
        case "other signer":
            theirs = network.transfer(payee, payer, amount).body
            return network.signing.transaction(network.genesis.network, theirs, [development_seed(payer)])
        case _:
            good = network.transfer(payer, payee, amount)
            signed = decode(Signed, good.raw, "transaction")
            return encode(msgspec.structs.replace(signed, signatures=((signed.signatures[0][0], bytes(64)),)))


def _half(load: Load) -> Transaction:
    """Two payments, of which the second fails where another such transaction came first: then the first must not have
    happened."""
    whole = Transfer(development_account("carol"), 600_000_000)
    return load.network.act("dana", Transfer(development_account("bea"), 3), whole)
