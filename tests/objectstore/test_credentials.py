"""Whatever is wrong with credentials or bucket is said once, with what to do; secrets are never said."""

import json

import botocore.session
import pytest

from ganray.errors import StoreError
from ganray.store.store import Store
from tests.cli.conftest import ganray
from tests.objectstore.conftest import new_bucket, use_credentials

__all__ = ["ganray"]


@pytest.fixture(scope="session")
def stranger(server):
    """The keys of a user who may not see the other one's buckets."""
    return server.add_user("stranger")


def refusals(uri, trial):
    """The errors of what a sweep does first and of what a reader does."""
    store = Store(uri)
    with pytest.raises(StoreError) as first:
        store.check_writable()
    with pytest.raises(StoreError) as second:
        store.trials()
    messages = str(first.value), str(second.value)
    assert all("Planted" not in message for message in messages)
    assert all(uri.split("/")[2] in message for message in messages)
    return messages


@pytest.fixture
def temporary(s3):
    """An access key, a secret key and a token that the server gave out for a quarter of an hour."""
    s3.allow_sts("ganray")
    session = botocore.session.get_session()
    allowed = {"Effect": "Allow", "Action": ["sts:GetSessionToken"], "Resource": ["*"]}
    session.create_client("iam").put_user_policy(
        UserName="ganray",
        PolicyName="sts",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    )
    given = session.create_client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    return given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]


def test_a_wrong_secret(uri, server, user, clean_aws, trial):
    use_credentials(clean_aws, server.endpoint, user[0], "PlantedWrongSecret")
    for message in refusals(uri, trial):
        assert "check the credentials in the environment (AWS_ACCESS_KEY_ID" in message


def test_an_unknown_access_key(uri, server, user, clean_aws, trial):
    use_credentials(clean_aws, server.endpoint, "NOSUCHKEY", "PlantedSecret")
    for message in refusals(uri, trial):
        assert "check the credentials in the environment" in message


def test_no_credentials_at_all(uri, server, clean_aws, trial):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        clean_aws.delenv(name)
    use_credentials(clean_aws, server.endpoint, None, None)
    for message in refusals(uri, trial):
        assert "AWS_ACCESS_KEY_ID" in message


def test_a_temporary_token_is_enough(uri, s3, temporary, clean_aws, trial):
    use_credentials(clean_aws, s3.endpoint, *temporary)
    store = Store(uri)
    store.check_writable()
    store.put_trial(trial())
    assert store.trials()["trial_id"].to_pylist() == ["t1"]


def test_a_token_that_the_server_does_not_take(uri, s3, temporary, clean_aws, trial):
    """Radosgw's tokens live a quarter of an hour at least, so test_faults injects the answer to an expired one."""
    access, secret, token = temporary
    use_credentials(clean_aws, s3.endpoint, access, secret, token[:-8] + "AAAAAA==")
    for message in refusals(uri, trial):
        assert "that the environment holds credentials that may" in message
        assert secret not in message
        assert token[:20] not in message


def test_a_token_that_is_none(uri, server, user, clean_aws, trial):
    use_credentials(clean_aws, server.endpoint, *user, token="PlantedToken")
    for message in refusals(uri, trial):
        assert "a token may have expired" in message


def test_a_bucket_of_somebody_else(uri, server, stranger, clean_aws, trial):
    use_credentials(clean_aws, server.endpoint, *stranger)
    for message in refusals(uri, trial):
        assert "what they may do there" in message


def test_a_bucket_that_is_not_there(s3, trial):
    for message in refusals("s3://no-such-bucket/store", trial):
        assert "check that the bucket exists" in message


def test_credentials_in_the_uri_are_refused_and_not_repeated():
    with pytest.raises(StoreError, match="holds credentials") as caught:
        Store("s3://KEY:PlantedSecret@bucket/store")
    assert "Planted" not in str(caught.value)


@pytest.mark.parametrize(
    "words", [("query", "SELECT 1"), ("table", "demo"), ("store", "stats"), ("store", "verify"), ("store", "compact")]
)
def test_the_command_line_says_it_in_one_paragraph(s3, user, clean_aws, ganray, words):
    bucket = new_bucket()
    use_credentials(clean_aws, s3.endpoint, user[0], "PlantedWrongSecret")
    query = ("query", "SELECT * FROM trials") if words[0] == "query" else words
    code, out, said = ganray(*query, "--store", f"s3://{bucket}/store")
    assert code == 2
    assert "check the credentials" in " ".join(said.split())
    assert "Planted" not in out + said
    assert "Traceback" not in said
