"""One secret seed in one encrypted file.

The JSON has the shape of EIP-2335 (kdf, checksum, cipher; path, pubkey, uuid, version 4), a format for BLS keys that we
borrow: the secret is an Ed25519 seed, the cipher is ChaCha20-Poly1305, and the checksum is a plain SHA-256 over the
rest of the file. So damage is found without the password, and what then fails to decrypt is a wrong password.
"""

from __future__ import annotations

import json
import os
import secrets
import unicodedata
import uuid
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from msgspec import Meta

from concento.accounts import account_of_key
from concento.errors import Rejected
from concento.keys import public_key
from concento.strictjson import loads

VERSION: Final = 4

SCRYPT_N: Final = 2**18
"""256 MiB and most of a second for each guess of a password, as EIP-2335 has it."""

_MEMORY_BYTES_MAX: Final = 2**30
"""What a file from elsewhere may make us allocate: four times our own choice."""

_SALT_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32

Hex = Annotated[str, Meta(pattern="^([0-9a-f]{2})*$", max_length=256)]


class _ScryptParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dklen: Literal[32]
    n: Annotated[int, Meta(ge=2**10, le=2**22)]
    p: Annotated[int, Meta(ge=1, le=16)]
    r: Annotated[int, Meta(ge=1, le=32)]
    salt: Hex


class _Kdf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    function: Literal["scrypt"]
    params: _ScryptParams
    message: Literal[""]


class _Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`{}`"""


class _Checksum(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    function: Literal["sha256"]
    params: _Nothing
    message: Hex


class _CipherParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    nonce: Hex


class _Cipher(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    function: Literal["chacha20-poly1305"]
    params: _CipherParams
    message: Hex


class _Crypto(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kdf: _Kdf
    checksum: _Checksum
    cipher: _Cipher


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The file's content; everything but the seed is readable without the password.

    `account` stands only in the file of a key that has followed another: it acts for the account of the first one.
    """

    crypto: _Crypto
    description: str
    path: str
    pubkey: Hex
    uuid: str
    version: Literal[4]
    account: Hex = ""

    @property
    def acts_for(self) -> bytes:
        """The account that signatures of this key are made for."""
        return bytes.fromhex(self.account) if self.account else account_of_key(self.key)

    @property
    def key(self) -> bytes:
        """The public key."""
        return bytes.fromhex(self.pubkey)


def seal(seed: bytes, password: str, path: str, description: str, scrypt_n: int = SCRYPT_N) -> KeyFile:
    """The seed under a password. Raises Rejected wallet.password_empty."""
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    kdf = _Kdf("scrypt", _ScryptParams(_KEY_BYTES, scrypt_n, 1, 8, salt.hex()), "")
    key = public_key(seed)
    message = ChaCha20Poly1305(_stretch(kdf.params, password)).encrypt(nonce, seed, _bound(kdf, path, key))
    cipher = _Cipher("chacha20-poly1305", _CipherParams(nonce.hex()), message.hex())
    file = KeyFile(
        _Crypto(kdf, _Checksum("sha256", _Nothing(), ""), cipher), description, path, key.hex(), str(uuid.uuid4()), 4
    )
    return _summed(file)


def acting_for(file: KeyFile, account: bytes) -> KeyFile:
    """The same key under the same password, for an account that has taken it for its own."""
    return _summed(msgspec.structs.replace(file, account="" if account == account_of_key(file.key) else account.hex()))


def unseal(file: KeyFile, password: str, name: str) -> bytes:
    """The secret seed. Raises Rejected wallet.password_wrong."""
    crypto = file.crypto
    nonce, message = bytes.fromhex(crypto.cipher.params.nonce), bytes.fromhex(crypto.cipher.message)
    bound = _bound(crypto.kdf, file.path, file.key)
    try:
        seed = ChaCha20Poly1305(_stretch(crypto.kdf.params, password)).decrypt(nonce, message, bound)
    except InvalidTag:
        raise Rejected("wallet.password_wrong", name=name) from None
    if public_key(seed) != file.key:
        raise Rejected("wallet.file_damaged", path=name, reason="its public key does not belong to its secret")
    return seed


def parse(data: bytes, path: str) -> KeyFile:
    """The key file in these bytes. Raises Rejected wallet.file_cut, _foreign, _version or _damaged."""
    text = data.strip()
    if not text or (text.startswith(b"{") and not text.endswith(b"}")):
        raise Rejected("wallet.file_cut", path=path, bytes=len(data))
    try:
        document = loads(text, "key file")
    except Rejected as error:
        if not text.startswith(b"{"):
            raise Rejected("wallet.file_foreign", path=path) from None
        raise Rejected("wallet.file_damaged", path=path, reason=error.message) from None
    if not isinstance(document, dict) or "crypto" not in document:
        raise Rejected("wallet.file_foreign", path=path)
    if document.get("version") != VERSION:
        raise Rejected("wallet.file_version", path=path, found=str(document.get("version")), expected=VERSION)
    try:
        file = msgspec.convert(document, KeyFile)
    except msgspec.ValidationError as error:
        raise Rejected("wallet.file_damaged", path=path, reason=str(error)) from None
    if _checksum(document) != file.crypto.checksum.message:
        raise Rejected("wallet.file_damaged", path=path, reason="its checksum does not fit")
    _check_lengths(file, path)
    return file


def text_of(file: KeyFile) -> str:
    """The file as it is written to disk."""
    return json.dumps(msgspec.to_builtins(file), indent=2) + "\n"


def read(path: Path) -> KeyFile:
    """The key file at a path. Raises Rejected as `parse` does, or file.unreadable."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Rejected("file.unreadable", path=str(path), reason=error.strerror or str(error)) from None
    return parse(data, str(path))


def write(path: Path, text: str) -> None:
    """Puts a private text at a path: whole or not at all, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise Rejected("file.unwritable", path=str(path), reason=error.strerror or str(error)) from None


def password_bytes(password: str) -> bytes:
    """What the key is stretched from (EIP-2335): NFKD, without control characters. Raises Rejected where empty."""
    text = "".join(
        character for character in unicodedata.normalize("NFKD", password) if unicodedata.category(character) != "Cc"
    )
    if not text:
        raise Rejected("wallet.password_empty")
    return text.encode("utf-8")


def _summed(file: KeyFile) -> KeyFile:
    checksum = _Checksum("sha256", _Nothing(), _checksum(msgspec.to_builtins(file)))
    return msgspec.structs.replace(file, crypto=msgspec.structs.replace(file.crypto, checksum=checksum))


def _stretch(params: _ScryptParams, password: str) -> bytes:
    secret = password_bytes(password)
    return Scrypt(bytes.fromhex(params.salt), params.dklen, params.n, params.r, params.p).derive(secret)


def _bound(kdf: _Kdf, path: str, key: bytes) -> bytes:
    """What the cipher authenticates besides the seed: nobody can pair it with another key or path."""
    return json.dumps([msgspec.to_builtins(kdf), path, key.hex()], separators=(",", ":"), sort_keys=True).encode()


def _checksum(document: dict[str, Any]) -> str:
    """SHA-256 over the document with an empty checksum, in one spelling."""
    crypto = {**document["crypto"], "checksum": {"function": "sha256", "params": {}, "message": ""}}
    plain = {**document, "crypto": crypto}
    return sha256(json.dumps(plain, separators=(",", ":"), sort_keys=True).encode()).hexdigest()


def _check_lengths(file: KeyFile, path: str) -> None:
    params = file.crypto.kdf.params
    if params.n & (params.n - 1) or 128 * params.n * params.r > _MEMORY_BYTES_MAX:
        raise Rejected("wallet.file_damaged", path=path, reason="its scrypt parameters are out of range")
    nonce = len(file.crypto.cipher.params.nonce) // 2
    if (
        len(file.account) not in (0, 64)
        or nonce != _NONCE_BYTES
        or len(file.key) != 32
        or len(file.crypto.cipher.message) // 2 != _KEY_BYTES + 16
    ):
        raise Rejected("wallet.file_damaged", path=path, reason="a field has the wrong length")
