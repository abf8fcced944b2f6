"""Parquet files in a store of objects: the clips of the local folder, and a store that fails stops the run."""

import threading

import pytest
from pannsdist_parquet import Parquet
from tables_of_sounds import NAMES, hub, sound, structs, table, write

from pannsdist.contracts import UserError

pytest.importorskip("pannsdist.contracts.locations", reason="this pannsdist reads no stores")
pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'pannsdist[s3]'")
server = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[s3,server]'")

CARD = """---
configs:
- config_name: default
  data_files:
  - {split: train, path: data/train-*}
  - {split: validation, path: data/test-*}
---
"""


@pytest.fixture(scope="module")
def store():
    """A server of S3 on this machine, and its client."""
    import botocore.session
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_):
            pass

    application = server.DomainDispatcherApplication(server.create_backend_app)
    running = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    url = f"http://127.0.0.1:{running.server_port}"
    client = botocore.session.get_session().create_client("s3", endpoint_url=url, **keys)
    yield client
    client.close()
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def upload(store, tmp_path, monkeypatch):
    """Puts the files below a folder into a bucket of the test; gives its URL."""
    names = {"AWS_ENDPOINT_URL": store.meta.endpoint_url, "AWS_EC2_METADATA_DISABLED": "true"}
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**names, **keys, "PANNSDIST_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    bucket = f"b{abs(hash(tmp_path.name)):x}"
    store.create_bucket(Bucket=bucket)

    def put(root):
        for path in root.rglob("*"):
            if path.is_file():
                store.put_object(Bucket=bucket, Key=path.relative_to(root).as_posix(), Body=path.read_bytes())
        return f"s3://{bucket}"

    return put


def opened(root, **params):
    return Parquet(Parquet.Params(str(root), **params))


def refusal(root, **params):
    with pytest.raises(UserError) as caught:
        opened(root, **params)
    return str(caught.value)


def test_a_store_holds_the_clips_of_the_folder(tmp_path, upload):
    root = hub(tmp_path / "root")
    url = upload(root)
    here, there = opened(root), opened(url)
    assert (there.splits, there.labels) == (here.splits, here.labels)
    for split in here.splits:
        pairs = list(zip(here.clips(split), there.clips(split), strict=True))
        assert all((mine.id, mine.labels) == (its.id, its.labels) for mine, its in pairs)
        assert all(mine.source.open().read() == its.source.open().read() for mine, its in pairs)
    assert there.clips("train")[4].source.name == f"{url}/data/train-00001-of-00002.parquet:0/4.wav"
    one = opened(f"{url}/data/train-00000-of-00002.parquet", valid_fraction=0.5)
    assert sorted(clip.id for split in one.splits for clip in one.clips(split)) == [f"{n}.wav" for n in range(4)]
    (root / "README.md").write_text(CARD)
    assert [clip.labels for clip in opened(upload(root)).clips("valid")] == [(NAMES[0],), (NAMES[1],)]


def test_a_table_that_changes_or_goes_stops_the_run(tmp_path, upload, store):
    root = hub(tmp_path / "root")
    url = upload(root)
    bucket, key = url.removeprefix("s3://"), "data/train-00000-of-00002.parquet"
    first, second = opened(url).clips("train")[:4:2]
    store.put_object(Bucket=bucket, Key=key, Body=b"x" * 99)
    store.delete_object(Bucket=bucket, Key="data/train-00001-of-00002.parquet")
    for clip in (first, second, opened(root).clips("train")[0]):
        try:
            content = clip.source.open().read()
        except OSError as error:
            assert not isinstance(error, FileNotFoundError | PermissionError)
        else:  # from this machine: the folder, or a block that was kept
            assert content == sound(int(clip.id.removesuffix(".wav")))
    assert "1 of the 2 tables of data/train: number 1 is missing" in refusal(url)


def test_what_a_store_cannot_have_is_refused(tmp_path, upload):
    write(
        tmp_path / "a/train.parquet", table(range(2)).set_column(0, "audio", structs([None, None], ["a.wav", "b.wav"]))
    )
    url = upload(tmp_path / "a")
    assert "tables of a store hold their sounds" in refusal(url)
    write(tmp_path / "a/train.parquet", table(range(2)))
    (tmp_path / "a/train.parquet").write_bytes((tmp_path / "a/train.parquet").read_bytes()[:-9])
    assert f"{url}/train.parquet" in refusal(upload(tmp_path / "a"))
    assert "has no table" in refusal(f"{url}/nothing")
    assert "is in no store that can be read" in refusal("ftp://host/data")
    assert "cannot be read" in refusal(f"{url}/gone.parquet")
