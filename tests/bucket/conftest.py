"""Object stores on loopback for the tests of buckets, and a study in a folder to compare theirs with."""

import pytest
from bucket_servers import bucket_server, gcs_server, s3_server
from command import SMALL, here

__all__ = ["bucket_server", "gcs_server", "s3_server"]


@pytest.fixture(scope="session")
def undisturbed(npz, tmp_path_factory):
    """A finished study's folder."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    here(["--dataset", npz, "--workdir", workdir, *SMALL])
    return workdir
