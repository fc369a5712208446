"""What an error quotes is told without its secrets, and ordinary messages are left as they are."""

import pytest

from ganray.recipe.secrets import masked

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYPLANTED"


@pytest.mark.parametrize(
    "name",
    ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "RAY_AUTH_TOKEN", "WANDB_API_KEY", "MY_PASSWORD", "hf_token"],
)
def test_values_of_the_environment(monkeypatch, name):
    monkeypatch.setenv(name, SECRET)
    assert masked(f"InvalidKey: <{SECRET}> is unknown, {SECRET}!") == "InvalidKey: <***> is unknown, ***!"


def test_a_secret_within_a_secret(monkeypatch):
    monkeypatch.setenv("A_TOKEN", "planted-one")
    monkeypatch.setenv("B_TOKEN", "planted-one-and-two")
    assert masked("x planted-one-and-two y planted-one z") == "x *** y *** z"


def test_short_values_and_places_are_no_secrets(monkeypatch):
    monkeypatch.setenv("SOME_TOKEN", "on")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/home/me/token")
    assert masked("the switch is on in /home/me/token") == "the switch is on in /home/me/token"


@pytest.mark.parametrize(
    "text",
    [
        f"cannot connect to https://user:{SECRET}@host:443/x",
        f"403 for url https://b.example/x?X-Amz-Credential=AKIA&X-Amz-Signature={SECRET}",
        f"GET https://h/x?access_token={SECRET} failed",
        f"headers: {{'Authorization': 'Bearer {SECRET}'}}",
        f"Authorization: AWS4-HMAC-SHA256 Credential=AKIA/x, Signature={SECRET}",
        f"aws_secret_access_key = {SECRET}",
        f"<SecretAccessKey>{SECRET}</SecretAccessKey>",
        f"aws_session_token='{SECRET}'",
    ],
)
def test_what_looks_like_a_secret(text):
    assert SECRET not in masked(text)
    assert "***" in masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "AccessDenied: Access Denied",
        "cannot read the store s3://bucket/runs: TimeoutError; check the endpoint (AWS_ENDPOINT_URL)",
        "check the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE; a token may have expired)",
        "InvalidAccessKeyId: The AWS Access Key Id you provided does not exist in our records.",
        "InvalidToken: The provided token is malformed or otherwise invalid.",
        "a basic mistake in https://docs.example/x?version=2 at 12:30, mail me@example.org",
        "not finite at 3.2 kimg; lower optimizers.discriminator.lr",
    ],
)
def test_ordinary_messages_stay(text):
    assert masked(text) == text
