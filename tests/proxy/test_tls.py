"""The proxy with a certificate of its own: started as a user starts it, spoken to by the real SDK."""

from __future__ import annotations

import socket
import ssl
import subprocess
from pathlib import Path

import openai
import pytest

from asynccache.proxy.config import parse_config
from asynccache.proxy.tls import tls_context
from asynccache.proxy.yaml_source import ConfigError, parse_yaml

from .process import running

MODEL = "model_list:\n- model_name: m\n  litellm_params: {model: simulator/openai/gpt-4o}\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that only itself vouches for, and its key, in one folder."""
    folder = tmp_path_factory.mktemp("tls")
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
        check=False, capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl to make a certificate with")
    return folder


def _settings(text: str) -> str:
    return f"{MODEL}asynccache_settings: {{{text}}}\n"


def test_streams_over_tls(tmp_path: Path, certificate: Path) -> None:
    """It says https, streams and answers whole to a client that trusts its certificate, and ends with 0 on SIGTERM."""
    config = tmp_path / "config.yaml"
    config.write_text(
        _settings(f"tls_certificate: {certificate / 'cert.pem'}, tls_key: {certificate / 'key.pem'}")
    )
    trusted = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    with running(tmp_path, "--config", str(config)) as proxy:
        base = proxy.url
        assert base.startswith("https://")
        with openai.OpenAI(
            base_url=f"{base}/v1",
            api_key="none",
            max_retries=0,
            timeout=120.0,
            http_client=openai.DefaultHttpxClient(verify=trusted),
        ) as client:
            whole = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
            stream = client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hi"}], stream=True
            )
            said = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        address = ("127.0.0.1", int(base.rpartition(":")[2]))
        with pytest.raises(ssl.SSLCertVerificationError), socket.create_connection(address) as sock:
            ssl.create_default_context().wrap_socket(sock, server_hostname="127.0.0.1")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError), socket.create_connection(address) as sock:
            old.wrap_socket(sock)
        with socket.create_connection(address) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            sock.settimeout(60)
            assert b"200" not in sock.recv(100)
        proxy.process.terminate()
        assert proxy.process.wait(60) == 0
    assert whole.choices[0].message.content
    assert said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tls_key: key.pem", "set both, or none"),
        ("tls_certificate: /nowhere/cert.pem", "/nowhere/cert.pem"),
        ("tls_certificate: {folder}/key.pem", "key.pem"),
        ("tls_certificate: {folder}/cert.pem", "cannot be used"),
    ],
)
def test_certificates_that_are_none(certificate: Path, text: str, words: str) -> None:
    """A certificate that is missing, without its key, or none at all is an error that names the file."""
    source = parse_yaml(_settings(text.replace("{folder}", str(certificate))).encode(), "config.yaml", {})
    with pytest.raises(ConfigError, match=words):
        tls_context(parse_config(source, {}).settings)


def test_a_key_with_a_password_is_refused_without_asking(tmp_path: Path, certificate: Path) -> None:
    """Nobody may sit at the terminal: the start does not wait for a password."""
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "rsa", "-aes256", "-passout", "pass:secret", "-in", str(certificate / "key.pem"), "-out", str(locked)],
        check=True, capture_output=True,
    )  # fmt: skip
    text = _settings(f"tls_certificate: {certificate / 'cert.pem'}, tls_key: {locked}")
    with pytest.raises(ConfigError, match="password"):
        tls_context(parse_config(parse_yaml(text.encode(), "config.yaml", {}), {}).settings)
