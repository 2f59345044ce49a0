"""What clients do in a run: payments, some of them wrong on purpose, handed to one node or to several."""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from concento.development import development_seed
from concento.encoding import decode, encode
from concento.transactions import Signed, Transaction
from sim.network import Network

PAYERS: Final = ("alice", "bea", "bob", "carol", "dana", "treasury")
BAD: Final = ("expired", "early", "other chain", "bad signature", "too much", "fee too low", "no bytes", "other signer")


def transaction(network: Network, dice: Random, bad_share: float) -> Transaction | bytes:
    """The next thing that a client hands in."""
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
        case "no bytes":
            return bytes(dice.randrange(40))
        case "other signer":
            theirs = network.transfer(payee, payer, amount).body
            return network.signing.transaction(network.genesis.network, theirs, [development_seed(payer)])
        case _:
            good = network.transfer(payer, payee, amount)
            signed = decode(Signed, good.raw, "transaction")
            return encode(msgspec.structs.replace(signed, signatures=((signed.signatures[0][0], bytes(64)),)))


def receivers(network: Network, dice: Random) -> list[str]:
    """Who gets it: one node, or several; clients try the next one where the first is down."""
    names = [node.name for node in network.up if node.is_validator]
    return dice.sample(names, min(len(names), dice.choice((1, 1, 1, 2, len(names)))))
