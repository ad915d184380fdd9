"""Object stores on loopback for the tests of buckets."""

from bucket_servers import bucket_server, gcs_server, s3_server

__all__ = ["bucket_server", "gcs_server", "s3_server"]
