"""Checks a record with securesystemslib, the library under TUF and in-toto.

    dsse.py BUNDLE KEY.pem
"""

import json
import sys

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey


def main(bundle_path: str, key_path: str) -> int:
    with open(bundle_path, encoding="utf-8") as file:
        envelope = Envelope.from_dict(json.load(file)["dsseEnvelope"])
    with open(key_path, "rb") as file:
        key = SSlibKey.from_crypto(load_pem_public_key(file.read()), keyid=next(iter(envelope.signatures)))
    try:
        envelope.verify([key], 1)
    except VerificationError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    print("verified")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
