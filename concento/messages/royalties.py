"""Messages about shares and their income: shares change hands, waiting income is pulled forward; nobody has to."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from concento.encoding import Bytes32, Natural, Record
from concento.limits import VAULT_ROWS_PER_ACTION_MAX
from concento.messages.assets import ShareCount, Split, Title

VaultId = Bytes32


class Claim(Record, tag="royalties.claim"):
    """Settle one page of the table behind an asset's leg now, the asset's parked income and one's own waiting money."""

    asset: Bytes32
    leg: Natural
    page: Natural


class Sweep(Record, tag="royalties.sweep"):
    """Queue the table behind an asset's leg below its threshold; the fee pays for `rows`, at least all of its rows."""

    asset: Bytes32
    leg: Natural
    rows: Natural


class TransferShares(Record, tag="royalties.transfer_shares"):
    """The sender's shares of a table go to somebody else; income up to now stays the sender's.

    `source` is an asset, and `leg` the leg with its table; or a vault, and `leg` is 0. `page` holds the sender's row,
    `to_page` is where the receiver's is, or where a new one may be. `to` is an account, an older asset or a vault.
    """

    source: Bytes32
    leg: Natural
    page: Natural
    to_kind: Literal["account", "asset", "vault"]
    to: Bytes32
    to_page: Natural
    shares: ShareCount


class OpenVault(Record, tag="royalties.open_vault"):
    """A table for wide ownership: its rows are accounts, and other tables may name it as a holder once it is sealed.

    More rows follow with AddVaultRows; whoever opened it seals it, and has no rights after that.
    """

    title: Title
    rows: Annotated[tuple[Split, ...], Meta(max_length=VAULT_ROWS_PER_ACTION_MAX)]


class AddVaultRows(Record, tag="royalties.add_vault_rows"):
    """More rows of a vault that is still open. `first` is how many rows it has: a chunk sent twice is refused."""

    vault: VaultId
    first: Natural
    rows: Annotated[tuple[Split, ...], Meta(min_length=1, max_length=VAULT_ROWS_PER_ACTION_MAX)]


class SealVault(Record, tag="royalties.seal_vault"):
    """The vault is complete: shares of other tables may be moved to it, and its own change hands."""

    vault: VaultId
