"""The proxy's own certificate, for those who have nothing in front of it that ends TLS: 1.2 or later, nothing older."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynccache.proxy.yaml_source import ConfigError

if TYPE_CHECKING:
    from ssl import SSLContext

    from asynccache.proxy.settings import Settings

__all__ = ["tls_context"]


def tls_context(settings: Settings) -> SSLContext | None:
    """What the listener speaks TLS with; None where no certificate is set.

    Raises:
        ConfigError: the certificate or its key cannot be used.
    """
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None:
        if key is not None:
            raise ConfigError(
                "asynccache_settings.tls_key is set, and tls_certificate is not: set both, or none"
            )
        return None
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        file = certificate if key is None else f"{certificate} with {key}"
        msg = (
            f"the certificate {file} cannot be used: {error}; both are PEM files, the key without a password"
        )
        raise ConfigError(msg) from error
    return context


def _no_password() -> str:
    """Instead of a prompt at the terminal, which would hold up the start."""
    raise ValueError("the key has a password")
