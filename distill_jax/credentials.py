"""Credentials within addresses: none is taken as a value of a setting, which is kept and shown, and none is quoted."""

import re

_USER = re.compile(r"(?<=[A-Za-z0-9+.-]:)(/+)[^/\s@]+@")  # `Path` makes one stroke of two
_SIGNED = re.compile(
    r"(?<=[?&])(X-Amz-(?:Signature|Credential|Security-Token)|X-Goog-(?:Signature|Credential)|AWSAccessKeyId|Signature"
    r"|sig|access_token|token|api_key)=[^&\s#]+",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """A text without the user, password, signature or token that an address in it has.

    >>> masked("s3://key:secret@bucket/a@b"), masked("https://host/a?sig=c2ln&part=1"), masked("gs://bucket/a")
    ('s3://***@bucket/a@b', 'https://host/a?sig=***&part=1', 'gs://bucket/a')
    """
    return _SIGNED.sub(r"\1=***", _USER.sub(r"\1***@", text))
